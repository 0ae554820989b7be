// virtio 1.4 §5.4.2 Virtqueues, of the entropy device. There is no configuration space and no header.

/// The virtqueue of an entropy device.
enum EntropyQueue {
  /// `requestq`.
  static var request: Int { 0 }
}
