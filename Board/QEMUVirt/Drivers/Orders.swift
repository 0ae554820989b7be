// What the boot options ask for.

import DeviceTree
import Virtio
import Wire

/// The orders of this run.
enum Orders {
  // Set once at the start by this core, the only one that runs.
  nonisolated(unsafe) private static var check = false
  nonisolated(unsafe) private static var features = Features.none

  /// Do everything once, then end; or else ask a person.
  static var isCheck: Bool { unsafe check }
  /// What drivers accept of the features of rings and transport.
  static var ringFeatures: Features { unsafe features }

  /// Reads `check`, `split`, `inorder=0|1` and `eventidx=0|1`.
  static func take(_ options: borrowing BootOptions) throws(BootOptionError) {
    // Nothing here resets a single queue or suspends a device.
    var accepted = Features.mmioTransportBits.subtracting(.ringReset | .suspend)
    if options.contains("split") { accepted = accepted.subtracting(.ringPacked) }
    if try !flag(options, "inorder=") { accepted = accepted.subtracting(.inOrder) }
    if try !flag(options, "eventidx=") { accepted = accepted.subtracting(.eventIndex) }
    unsafe features = accepted
    unsafe check = options.contains("check")
  }

  private static func flag(_ options: borrowing BootOptions, _ name: FixedText) throws(BootOptionError)
    -> Bool
  {
    let number = try options.number(name) ?? 1
    guard number <= 1 else { throw .notANumber }
    return number == 1
  }
}
