// The SCMI platform of a made-up board.

import ArgumentParser
import DeviceTypes
import Host

struct SCMIPlatform: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scmi", abstract: "The SCMI platform of a made-up board, for one agent.")

  @OptionGroup(title: "Options of every device") var serving: Serving

  @Option(
    help: ArgumentHelp(
      "The board, a resource a line: clock NAME HERTZ..., power NAME, reset NAME, sensor NAME MILLIDEGREES. "
        + "(default: an example of each)", valueName: "path"))
  var table: String?

  func run() throws {
    let device = SCMIDevice(backend: TablePlatform(try board()))
    try serving.serve(device, by: VhostUserServer<SCMIDevice<TablePlatform>, 2>.self)
  }

  private func board() throws(Failure) -> BoardTable {
    var text = BoardTable.example
    if let table {
      do throws(SystemError) {
        text = try OpenFile.open(table, isWritable: false).text(byteCountMax: 1 << 20)
      } catch {
        throw Failure(table, error)
      }
    }
    do throws(BoardTable.Mistake) {
      return try BoardTable(text)
    } catch {
      throw Failure(table ?? "the example", error)
    }
  }
}
