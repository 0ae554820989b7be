// vireo: our devices for VMMs that are other processes.

import Glibc
import Host

@main struct Main {
  private static let usage = """
    usage: vireo vhost-user DEVICE --socket PATH [OPTION...]

    Serves one virtio device to a VMM, such as QEMU, that connects to the Unix socket PATH.

    devices:
      block         a disk
        --file PATH     the file or block device behind it; one in memory (tmpfs) is copied directly
        --offset SIZE   where in the file the disk starts (0)
        --size SIZE     its length (to the end of the file)
        --read-only     the disk cannot be written
        --serial TEXT   the name that the guest sees, up to 20 characters
        --queues N      request queues, 1 to 16 (1)
        --null SIZE     instead of --file: a disk of SIZE bytes that keeps nothing, for measurements
      console       a console: without an option, standard input and output
        --pty           instead: a new pseudo-terminal, whose name is printed
        --listen PATH   instead: whoever connects to the Unix socket PATH, one client at a time
      entropy       random bytes of this system
      network       a network interface
        --stream PATH   its link is the Unix stream socket PATH, of passt or of QEMU's netdev stream
        --tap NAME      its link is the tap interface NAME of this system
        --mac ADDRESS   its address, where the VMM gives it none (52:54:00:56:49:52)
      scmi          the SCMI platform of a made-up board, for one agent
        --table FILE    the board, a resource a line: clock NAME HERTZ..., power NAME, reset NAME,
                        sensor NAME MILLIDEGREES (an example of each)

    options:
      --socket PATH   where to listen; a socket left by a process that is gone is replaced
      --rings FORMAT  the ring formats that are offered: split, or packed, which is both (packed)
      --verbose       tell of connections, too
      --help          this text

    SIZE is a number of bytes, with K, M, G or T for powers of 1024. The process ends on SIGINT and SIGTERM,
    with every write finished; on SIGHUP a disk takes the size that its file has by then. After a VMM has
    disconnected, the next one can connect. A disk that was killed can be started again under a VMM that
    connects again: nothing that its guest knows of is lost. Before it sleeps the process looks at the rings
    for up to 5 microseconds, if that has brought something lately. Once its files are open it gives up all
    capabilities, further files, and system calls that serving does not take.

    """

  static func main() {
    do throws(Failure) {
      try run()
    } catch {
      put("vireo: \(error.message)\n", STDERR_FILENO)
      exit(error.status)
    }
  }

  private static func run() throws(Failure) {
    let options = try Options(
      CommandLine.arguments.dropFirst(),
      valued: [
        "--socket", "--file", "--offset", "--size", "--serial", "--null", "--queues", "--rings", "--stream",
        "--tap", "--mac", "--table", "--listen",
      ],
      flags: ["--read-only", "--pty", "--verbose", "--help", "-h"])
    if options.has("--help") || options.has("-h") { return put(usage, STDOUT_FILENO) }
    guard options.words.first == "vhost-user", options.words.count == 2 else {
      throw Failure(usage: "the command is vhost-user and a device")
    }
    Log.isVerbose = options.has("--verbose")
    try Devices.serve(options.words[1], options)
  }

  /// Writes `text` to an open file.
  static func put(_ text: String, _ descriptor: Int32) {
    var text = text
    // The string's own bytes. Nothing can be done if nobody hears.
    text.withUTF8 { bytes in _ = unsafe write(descriptor, bytes.baseAddress, bytes.count) }
  }
}
