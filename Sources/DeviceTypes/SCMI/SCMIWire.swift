// virtio 1.4 §5.17 SCMI Device: what both sides agree on. Of a message, the transport knows the header and
// the status of a response; the rest belongs to the SCMI specification.

public import Virtio

/// Feature bits of the SCMI device (§5.17.3).
public enum SCMIFeature {
  /// VIRTIO_SCMI_F_P2A_CHANNELS (0): there are notifications or delayed responses, and an `eventq`.
  public static var platformToAgent: Features { .bit(0) }
  /// VIRTIO_SCMI_F_SHARED_MEMORY (1): there is some statistics shared memory region.
  public static var sharedMemory: Features { .bit(1) }
  /// All of them.
  public static var all: Features { platformToAgent | sharedMemory }
}

/// The virtqueues of an SCMI device (§5.17.2).
enum SCMIQueue {
  /// `cmdq`: commands and their responses.
  static var command: Int { 0 }
  /// `eventq`: notifications and delayed responses.
  static var event: Int { 1 }
}

/// Shared memory regions of an SCMI device, by shmid (§5.17.6.4.1).
public enum SCMIStatisticsRegion {
  /// Power state statistics.
  public static var power: UInt32 { 1 }
  /// Performance domain statistics.
  public static var performance: UInt32 { 2 }
  /// Sensor values.
  public static var sensor: UInt32 { 3 }
  /// The first of the regions that a vendor defines.
  public static var firstVendor: UInt32 { 0x80 }
  /// The last of the regions that a vendor defines.
  public static var lastVendor: UInt32 { 0xff }

  /// Whether `id` is that of a region, neither reserved nor invalid.
  public static func isDefined(_ id: UInt32) -> Bool {
    id >= power && id <= sensor || id >= firstVendor && id <= lastVendor
  }
}

/// struct virtio_scmi_request, virtio_scmi_response and virtio_scmi_event_msg (§5.17.6): all start alike.
enum SCMIMessageLayout {
  static var header: Int { 0 }  // le32 hdr
  static var payload: Int { 4 }  // u8 params[], ret_values[], payload[]
  /// Where the return values and the payload of a delayed response start with `status`, and where it ends.
  static var status: Int { 4 }
  static var statusEnd: Int { 8 }

  /// SCMI status SUCCESS.
  static var success: Int32 { 0 }
  /// SCMI status PROTOCOL_ERROR: the message itself is malformed.
  static var protocolError: Int32 { -10 }

  /// Whether a message with `header` is a delayed response: message type 2, in bits 8 and 9.
  static func isDelayedResponse(_ header: UInt32) -> Bool { header >> 8 & 3 == 2 }
}
