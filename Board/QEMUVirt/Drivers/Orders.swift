// What the boot options ask for.

import DeviceTree
import Virtio

/// The orders of a run.
struct Orders {
  /// Do everything once, then end; or else ask a person.
  let isCheck: Bool
  /// What drivers accept of the features of rings and transport.
  let ringFeatures: Features

  /// Reads `check`, `split`, `inorder=0|1` and `eventidx=0|1`.
  init(_ options: BootOptions) throws(BootOptionError) {
    isCheck = options.contains("check")
    // Nothing here resets a single queue or suspends a device.
    var features = Features.mmioTransportBits.subtracting(.ringReset | .suspend)
    if options.contains("split") { features = features.subtracting(.ringPacked) }
    if try !Self.flag(options, "inorder=") { features = features.subtracting(.inOrder) }
    if try !Self.flag(options, "eventidx=") { features = features.subtracting(.eventIndex) }
    ringFeatures = features
  }

  private static func flag(_ options: BootOptions, _ name: StaticString) throws(BootOptionError) -> Bool {
    let number = try options.number(name) ?? 1
    guard number <= 1 else { throw .notANumber }
    return number == 1
  }
}
