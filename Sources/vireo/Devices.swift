// The devices that the daemon serves, made of what the command line says.

import DeviceTypes
import Glibc
import Host
import Virtio

/// A device and the options that it was asked for with.
enum Devices {
  /// The most queues of a disk.
  private static let diskQueueLimit = 16
  /// Pairs of queues of a network interface; its driver may use fewer.
  private typealias Interface<Link: NetworkBackend & ~Copyable> = NetworkDevice<Link, 4>

  /// Serves the device `name` as `options` say, until a signal ends the process.
  static func serve(_ name: String, _ options: Options) throws(Failure) {
    switch name {
    case "block": try serveBlock(options)
    case "console": try serveConsole(options)
    case "entropy": try serve(EntropyDevice(backend: SystemEntropy()), options)
    case "network": try serveNetwork(options)
    case "scmi": try serveSCMI(options)
    default: throw Failure(usage: "there is no device \(name)")
    }
  }

  // MARK: Block

  private static func serveBlock(_ options: Options) throws(Failure) {
    if let byteCount = try options.byteCount("--null") {
      guard !options.has("--file") else { throw Failure(usage: "either --file or --null") }
      return try serveDisk(NullDisk(sectorCount: byteCount / 512), options)
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
    try serveDisk(disk, options)
  }

  private static func serveDisk<Disk: BlockBackend & HostedBackend & ~Copyable>(
    _ disk: consuming Disk, _ options: Options
  ) throws(Failure) {
    let queueCount = try options.number("--queues", in: 1...diskQueueLimit) ?? 1
    let device = BlockDevice(backend: disk, queueCount: queueCount)
    if queueCount == 1 { return try serve(device, options) }
    try serve(device, by: VhostUserServer<BlockDevice<Disk>, 16>.self, options)
  }

  // MARK: Console

  private static func serveConsole(_ options: Options) throws(Failure) {
    let path = options.value("--listen")
    guard path == nil || !options.has("--pty") else { throw Failure(usage: "either --pty or --listen") }
    let stream: ConsoleStream
    do throws(SystemError) {
      if let path {
        stream = try ConsoleStream(listeningAt: path)
      } else if options.has("--pty") {
        var name = ""
        stream = try ConsoleStream(pseudoTerminal: &name)
        Main.put(name + "\n", STDOUT_FILENO)
      } else {
        stream = try ConsoleStream(reading: STDIN_FILENO, writing: STDOUT_FILENO)
      }
    } catch {
      throw Failure("\(path ?? "the console"): \(error)")
    }
    let device = ConsoleDevice<_, 1>(serving: stream)
    try serve(device, by: VhostUserServer<ConsoleDevice<ConsoleStream, 1>, 2>.self, options)
  }

  // MARK: Network

  private static func serveNetwork(_ options: Options) throws(Failure) {
    let settings = NetworkDeviceSettings(mac: try options.address("--mac"))
    switch (options.value("--stream"), options.value("--tap")) {
    case (let path?, nil):
      let link: StreamLink
      do throws(SystemError) {
        link = try StreamLink(connectingTo: path)
      } catch {
        throw Failure("\(path): \(error)")
      }
      let device = Interface(backend: link, settings: settings)
      try serve(device, by: VhostUserServer<Interface<StreamLink>, 9>.self, options)
    case (nil, let name?):
      let link: TapLink
      do throws(SystemError) { link = try TapLink(named: name) } catch { throw Failure("\(name): \(error)") }
      let device = Interface(backend: link, settings: settings)
      try serve(device, by: VhostUserServer<Interface<TapLink>, 9>.self, options)
    default: throw Failure(usage: "either --stream or --tap is needed")
    }
  }

  // MARK: SCMI

  private static func serveSCMI(_ options: Options) throws(Failure) {
    var text = BoardTable.example
    let path = options.value("--table")
    if let path {
      do throws(SystemError) {
        text = try OpenFile.open(path, isWritable: false).text(byteCountMax: 1 << 20)
      } catch {
        throw Failure("\(path): \(error)")
      }
    }
    let table: BoardTable
    do throws(BoardTable.Mistake) {
      table = try BoardTable(text)
    } catch {
      throw Failure("\(path ?? "the example"): \(error)")
    }
    let device = SCMIDevice(backend: TablePlatform(table))
    try serve(device, by: VhostUserServer<SCMIDevice<TablePlatform>, 2>.self, options)
  }

  // MARK: Any

  /// A device of one queue.
  private static func serve<Device: HostedDevice & ~Copyable>(
    _ device: consuming Device, _ options: Options
  ) throws(Failure) {
    try serve(device, by: VhostUserServer<Device, 1>.self, options)
  }

  private static func serve<Device: HostedDevice & ~Copyable, let ringCount: Int>(
    _ device: consuming Device, by _: VhostUserServer<Device, ringCount>.Type, _ options: Options
  ) throws(Failure) {
    guard let socket = options.value("--socket") else { throw Failure(usage: "--socket is needed") }
    let withheld = try withheldFeatures(options)
    do throws(SystemError) {
      let server = try VhostUserServer<Device, ringCount>(device, withheld: withheld)
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
}
