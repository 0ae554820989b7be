// What can go wrong with the network, in words.

import DriverChecks
import Machine
import Wire

extension Serial {
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
