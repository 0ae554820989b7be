// What the tests of the network driver share: a device that answers what it likes.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

/// A suite with its own device.
protocol NetworkDriverSuite {
  var memory: TestMemory { get }
  var device: FakeDevice { get }
}

extension FakeDevice {
  /// A network device that is up, with an MTU of 1500 and one pair.
  static func network(_ memory: TestMemory) -> FakeDevice {
    let device = FakeDevice(.network, memory)
    device.configuration = deviceMAC.list + [1, 0, 1, 0, 0xdc, 5]
    return device
  }
}

extension NetworkDriverSuite {
  static var mergeable: Features { NetworkFeature.mac | NetworkFeature.mergeableBuffers }

  /// A driver on the device, which offers `features`.
  func makeDriver(
    _ features: Features = NetworkFeature.mac, settings: NetworkDriverSettings = NetworkDriverSettings()
  ) throws -> NetworkDriver<FakeRegisters, 1> {
    device.features = features | .version1
    var arena = memory.arena()
    return try NetworkDriver<FakeRegisters, 1>(
      try MMIODriverTransport(device.registers), memory: &arena, settings: settings)!
  }

  func settings(_ features: Features, count: Int = 4, byteCount: Int = 64) -> NetworkDriverSettings {
    NetworkDriverSettings(
      features: features, receiveBufferCount: count, receiveBufferByteCount: byteCount)
  }

  /// A receive buffer as a device fills it.
  func filled(_ bytes: [UInt8], _ header: NetworkHeader = .with(bufferCount: 1)) -> [UInt8] {
    header.list + bytes
  }

  /// Answers the command that waits on queue 2.
  func answerCommand(_ ack: UInt8) {
    guard let buffer = device.take(2) else { return }
    memory.store(ack, buffer.elements[1].address)
    device.use(2, id: UInt32(buffer.id), byteCount: 1)
  }
}
