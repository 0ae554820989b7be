// What the command line says for every device, and how a device is served.

import ArgumentParser
import DeviceTypes
import Host
import Virtio

/// The ring formats that are offered.
enum RingFormat: String, ExpressibleByArgument, CaseIterable {
  case split, packed

  /// What the driver is not offered.
  var withheld: Features { self == .split ? .ringPacked : .none }
}

/// Options of every device.
struct Serving: ParsableArguments {
  @Option(help: ArgumentHelp("Where to listen; a socket that a process left is replaced.", valueName: "path"))
  var socket: String

  @Option(help: ArgumentHelp("The ring formats that are offered; packed is both.", valueName: "format"))
  var rings = RingFormat.packed

  @Flag(help: "Tell of connections, too.")
  var verbose = false

  /// Serves a device of one queue until a signal ends the process.
  func serve<Device: HostedDevice & ~Copyable>(_ device: consuming Device) throws(Failure) {
    try serve(device, by: VhostUserServer<Device, 1>.self)
  }

  /// Serves a device, by a server of as many queues as it has, until a signal ends the process.
  func serve<Device: HostedDevice & ~Copyable, let ringCount: Int>(
    _ device: consuming Device, by _: VhostUserServer<Device, ringCount>.Type
  ) throws(Failure) {
    Log.isVerbose = verbose
    do throws(SystemError) {
      let server = try VhostUserServer<Device, ringCount>(device, withheld: rings.withheld)
      try server.listen(at: socket)
    } catch {
      throw Failure(socket, error)
    }
  }
}

/// Why a device cannot be served.
struct Failure: Error, CustomStringConvertible {
  let description: String

  /// What went wrong with `subject`, such as a file.
  init(_ subject: String, _ reason: some Error) { description = "\(subject): \(reason)" }

  init(_ description: String) { self.description = description }
}
