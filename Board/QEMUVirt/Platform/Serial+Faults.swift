// What can go wrong with a device, in words.

public import Machine
public import Virtio
import Wire

extension Serial {
  /// Writes what is wrong with a device.
  public static func put(describing fault: DeviceFault) {
    switch fault {
    case .notVirtio: put("there is no virtio device behind the registers")
    case .legacyDevice:
      put("a device of the legacy interface (QEMU: -global virtio-mmio.force-legacy=false)")
    case .unknownVersion(let version):
      put("a device of the unknown version ")
      put(decimal: UInt64(version))
    case .noDevice: put("the slot is empty")
    case .wrongDeviceType(let type):
      put("the device is of another type: ")
      put(decimal: UInt64(type))
    case .resetTimedOut: put("the device does not finish its reset")
    case .featureMissing(let features):
      put("the device does not offer a feature that is needed: ")
      put(features)
    case .featuresRefused: put("the device does not accept the features it offered")
    case .queueUnavailable(let queue): putQueue(queue, " has size 0, or too small a size")
    case .queueBusy(let queue): putQueue(queue, " is in use, or does not take its settings")
    case .unknownBuffer: put("the device used a buffer that it was not given")
    case .usedLengthTooLong: put("the device says that it wrote more than it was allowed to")
    case .usedIndexJumped: put("the device used more buffers than it was given")
    case .configurationUnstable: put("the device's configuration never reads the same twice")
    case .invalidConfiguration: put("the device's configuration has a value that is not allowed")
    case .needsReset: put("the device has given up and wants a reset")
    case .invalidResponse: put("the device's answer makes no sense")
    case .commandTimedOut: put("the device does not answer a command")
    }
  }

  private static func putQueue(_ queue: UInt16, _ text: FixedText) {
    put("queue ")
    put(decimal: UInt64(queue))
    put(text)
  }

  /// Writes why a request failed.
  public static func put(describing fault: BackendFault) {
    switch fault {
    case .inputOutput: put("the device reports an input or output error")
    case .outOfRange: put("the request lies beyond the end of the disk")
    case .readOnly: put("the disk is read-only")
    case .unsupported: put("the device does not support the request")
    }
  }

  /// Writes 128 feature bits in hexadecimal, bit 127 first.
  public static func put(_ features: Features) {
    put(hex: features.high)
    put(hex: features.low)
  }
}
