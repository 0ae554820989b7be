// What can go wrong with a device, in words.

import DriverChecks
import Machine
import Virtio

extension Serial {
  /// Writes what is wrong with a device.
  static func put(describing fault: DeviceFault) {
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

  private static func putQueue(_ queue: UInt16, _ text: StaticString) {
    put("queue ")
    put(decimal: UInt64(queue))
    put(text)
  }

  /// Writes why a request failed.
  static func put(describing fault: BackendFault) {
    switch fault {
    case .inputOutput: put("the device reports an input or output error")
    case .outOfRange: put("the request lies beyond the end of the disk")
    case .readOnly: put("the disk is read-only")
    case .unsupported: put("the device does not support the request")
    }
  }

  /// Writes why the network was of no use.
  static func put(describing failure: NetworkFailure) {
    switch failure {
    case .noServer: put("no DHCP server has answered")
    case .leaseRefused: put("the DHCP server refused what it had offered")
    case .unreachable: put("nobody answers at the address of the file server")
    case .download(.unanswered): put("the TFTP server does not answer")
    case .download(.refused(let code)):
      put("the TFTP server refuses, with error ")
      put(decimal: UInt64(code))
      if code == 1 { put(": there is no such file") }
      if code == 2 { put(": access violation") }
    case .download(.violation): put("the TFTP server breaks the protocol")
    case .download(.tooLong): put("the file is longer than this image takes")
    case .download(.wrongSize): put("the file is not as long as the TFTP server had said")
    }
  }
}
