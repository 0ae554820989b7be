// A network interface.

import ArgumentParser
import DeviceTypes
import Host

/// The address of one network interface, as 52:54:00:12:34:56.
struct InterfaceAddress: ExpressibleByArgument {
  let address: MACAddress

  /// Nil for what is no such address, and for that of a group.
  init?(argument text: String) {
    let bytes = text.split(separator: ":", omittingEmptySubsequences: false).map {
      $0.count == 2 ? UInt8($0, radix: 16) : nil
    }
    guard bytes.count == 6, !bytes.contains(nil) else { return nil }
    let b = bytes.compactMap { $0 }
    address = MACAddress(b[0], b[1], b[2], b[3], b[4], b[5])
    if address.isMulticast { return nil }
  }
}

struct Network: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "A network interface.", discussion: "Its link is either --stream or --tap.")

  /// Pairs of queues; the driver may use fewer.
  private typealias Interface<Link: NetworkBackend & ~Copyable> = NetworkDevice<Link, 4>

  @OptionGroup(title: "Options of every device") var serving: Serving

  @Option(
    help: ArgumentHelp(
      "The Unix stream socket of a peer such as passt or QEMU's netdev stream.", valueName: "path"))
  var stream: String?

  @Option(help: ArgumentHelp("A tap interface of this system.", valueName: "name"))
  var tap: String?

  @Option(
    help: ArgumentHelp(
      "Its address, where the monitor gives it none. (default: 52:54:00:56:49:52)", valueName: "address"))
  var mac: InterfaceAddress?

  func validate() throws {
    guard (stream == nil) != (tap == nil) else {
      throw ValidationError("Either --stream or --tap is needed.")
    }
  }

  func run() throws {
    let own = MACAddress(0x52, 0x54, 0, 0x56, 0x49, 0x52)
    let settings = NetworkDeviceSettings(mac: mac?.address ?? own)
    if let stream {
      let link: StreamLink
      do throws(SystemError) {
        link = try StreamLink(connectingTo: stream)
      } catch {
        throw Failure(stream, error)
      }
      let device = Interface(backend: link, settings: settings)
      try serving.serve(device, by: VhostUserServer<Interface<StreamLink>, 9>.self)
    } else if let tap {
      let link: TapLink
      do throws(SystemError) { link = try TapLink(named: tap) } catch { throw Failure(tap, error) }
      let device = Interface(backend: link, settings: settings)
      try serving.serve(device, by: VhostUserServer<Interface<TapLink>, 9>.self)
    }
  }
}
