// A disk.

import ArgumentParser
import DeviceTypes
import Host

struct Block: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "A disk.",
    discussion: """
      \(ByteCount.help) On SIGHUP a disk takes the size that its file has by then. A disk that was \
      killed can be started again under a monitor that connects again: nothing that its guest knows of is \
      lost.
      """)

  @OptionGroup(title: "Options of every device") var serving: Serving

  @Option(
    help: ArgumentHelp(
      "The file or block device behind it; one in memory (tmpfs) is copied directly.", valueName: "path"))
  var file: String?

  @Option(help: ArgumentHelp("Where in the file the disk starts. (default: 0)", valueName: "size"))
  var offset: ByteCount?

  @Option(help: ArgumentHelp("Its length. (default: to the end of the file)", valueName: "size"))
  var size: ByteCount?

  @Flag(help: "The disk cannot be written.")
  var readOnly = false

  @Option(help: ArgumentHelp("The name that the guest sees, up to 20 characters.", valueName: "text"))
  var serial = "vireo"

  @Option(help: ArgumentHelp("Request queues, 1 to \(Self.queueLimit).", valueName: "number"))
  var queues = 1

  @Option(
    help: ArgumentHelp(
      "Instead of --file: a disk of that size that keeps nothing, for measurements.", valueName: "size"))
  var null: ByteCount?

  private static let queueLimit = 16

  func validate() throws {
    guard (file == nil) != (null == nil) else { throw ValidationError("Either --file or --null is needed.") }
    guard 1...Self.queueLimit ~= queues else {
      throw ValidationError("--queues takes a number from 1 to \(Self.queueLimit).")
    }
  }

  func run() throws {
    if let null { return try serve(NullDisk(sectorCount: null.bytes / 512)) }
    let path = file ?? ""
    let disk: FileDisk
    do throws(SystemError) {
      disk = try FileDisk(
        OpenFile.open(path, isWritable: !readOnly), isReadOnly: readOnly, identifier: serial,
        firstByte: offset?.bytes ?? 0, byteCount: size?.bytes)
    } catch {
      throw Failure(path, error)
    }
    guard disk.sectorCount > 0 else { throw Failure("\(path): less than one sector of 512 bytes") }
    try serve(disk)
  }

  private func serve<Disk: BlockBackend & HostedBackend & ~Copyable>(
    _ disk: consuming Disk
  ) throws(Failure) {
    let device = BlockDevice(backend: disk, queueCount: queues)
    if queues == 1 { return try serving.serve(device) }
    try serving.serve(device, by: VhostUserServer<BlockDevice<Disk>, 16>.self)
  }
}
