// The same as in DeviceVirtqueue.swift for queues that carry little: a call instead of a copy of the code.

extension DeviceVirtqueue {
  /// As `next()`.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func nextOutOfLine() throws(DriverFault) -> DescriptorChain? { try next() }

  /// As `use(_:written:)`.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func useOutOfLine(
    _ chain: consuming DescriptorChain, written: UInt32
  ) throws(DriverFault) {
    try use(chain, written: written)
  }

  /// Parks the buffer taken last and puts it back: `giveBack(_:)` of `park(_:)`.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func giveBackOutOfLine(_ chain: consuming DescriptorChain) throws(DriverFault) {
    giveBack(try park(chain))
  }
}
