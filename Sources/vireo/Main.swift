// vireo: our devices for VMMs that are other processes.

import DeviceTypes
import Glibc
import Host
import Virtio

@main struct Main {
  private static let usage = """
    usage: vireo vhost-user DEVICE --socket PATH [OPTION...]

    Serves one virtio device to a VMM, such as QEMU, that connects to the Unix socket PATH.

    devices:
      block         a disk
        --file PATH     the file or block device behind it
        --offset SIZE   where in the file the disk starts (0)
        --size SIZE     its length (to the end of the file)
        --read-only     the disk cannot be written
        --serial TEXT   the name that the guest sees, up to 20 characters
        --null SIZE     instead of --file: a disk of SIZE bytes that keeps nothing, for measurements
      entropy       random bytes of this system

    options:
      --socket PATH   where to listen; a socket left by a process that is gone is replaced
      --rings FORMAT  the ring formats that are offered: split, or packed, which is both (packed)
      --verbose       tell of connections, too
      --help          this text

    SIZE is a number of bytes, with K, M, G or T for powers of 1024. The process ends on SIGINT and SIGTERM,
    with every write finished. After a VMM has disconnected, the next one can connect.

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
      valued: ["--socket", "--file", "--offset", "--size", "--serial", "--null", "--rings"],
      flags: ["--read-only", "--verbose", "--help", "-h"])
    if options.has("--help") || options.has("-h") { return put(usage, STDOUT_FILENO) }
    guard options.words.first == "vhost-user", options.words.count == 2 else {
      throw Failure(usage: "the command is vhost-user and a device")
    }
    Log.isVerbose = options.has("--verbose")
    switch options.words[1] {
    case "block": try serveBlock(options)
    case "entropy": try serve(EntropyDevice(backend: SystemEntropy()), options)
    default: throw Failure(usage: "there is no device \(options.words[1])")
    }
  }

  private static func serveBlock(_ options: Options) throws(Failure) {
    if let byteCount = try options.byteCount("--null") {
      guard !options.has("--file") else { throw Failure(usage: "either --file or --null") }
      return try serve(BlockDevice(backend: NullDisk(sectorCount: byteCount / 512)), options)
    }
    guard let path = options.value("--file") else { throw Failure(usage: "--file or --null is needed") }
    let isReadOnly = options.has("--read-only")
    let offset = try options.byteCount("--offset") ?? 0
    let byteCount = try options.byteCount("--size")
    let disk: FileDisk
    do throws(SystemError) {
      disk = try FileDisk(
        OpenFile.open(path, isWritable: !isReadOnly), isReadOnly: isReadOnly,
        identifier: options.value("--serial") ?? "vireo", firstByte: offset, byteCount: byteCount)
    } catch {
      throw Failure("\(path): \(error)")
    }
    guard disk.sectorCount > 0 else { throw Failure("\(path): less than one sector of 512 bytes") }
    try serve(BlockDevice(backend: disk), options)
  }

  private static func serve<Device: HostedDevice & ~Copyable>(
    _ device: consuming Device, _ options: Options
  ) throws(Failure) {
    guard let socket = options.value("--socket") else { throw Failure(usage: "--socket is needed") }
    let withheld = try withheldFeatures(options)
    do throws(SystemError) {
      let server = try VhostUserServer<Device, 1>(device, withheld: withheld)
      try server.listen(at: socket)
    } catch {
      throw Failure("\(socket): \(error)")
    }
  }

  private static func withheldFeatures(_ options: Options) throws(Failure) -> Features {
    switch options.value("--rings") {
    case nil, "packed": return .none
    case "split": return .ringPacked
    case let other?: throw Failure(usage: "--rings is split or packed, not \(other)")
    }
  }

  private static func put(_ text: String, _ descriptor: Int32) {
    var text = text
    // The string's own bytes. Nothing can be done if nobody hears.
    text.withUTF8 { bytes in _ = unsafe write(descriptor, bytes.baseAddress, bytes.count) }
  }
}
