// A console with one port.

import ArgumentParser
import DeviceTypes
import Glibc
import Host

struct Console: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "A console: without an option, standard input and output.")

  @OptionGroup(title: "Options of every device") var serving: Serving

  @Flag(help: "Instead: a new pseudo-terminal, whose name is printed.")
  var pty = false

  @Option(
    help: ArgumentHelp(
      "Instead: whoever connects to this Unix socket, one client at a time.", valueName: "path"))
  var listen: String?

  func validate() throws {
    guard !pty || listen == nil else { throw ValidationError("Either --pty or --listen.") }
  }

  func run() throws {
    let device = ConsoleDevice<_, 1>(serving: try stream())
    try serving.serve(device, by: VhostUserServer<ConsoleDevice<ConsoleStream, 1>, 2>.self)
  }

  private func stream() throws(Failure) -> ConsoleStream {
    do throws(SystemError) {
      if let listen { return try ConsoleStream(listeningAt: listen) }
      guard pty else { return try ConsoleStream(reading: STDIN_FILENO, writing: STDOUT_FILENO) }
      var name = ""
      let stream = try ConsoleStream(pseudoTerminal: &name)
      name += "\n"
      // The string's own bytes. Nothing can be done if nobody hears.
      name.withUTF8 { bytes in _ = unsafe write(STDOUT_FILENO, bytes.baseAddress, bytes.count) }
      return stream
    } catch {
      throw Failure(listen ?? "the console", error)
    }
  }
}
