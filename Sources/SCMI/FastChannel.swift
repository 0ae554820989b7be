// SCMI FastChannels and shared regions: memory through which an agent reaches one value without a message.

/// A FastChannel as the board describes it to one agent.
public struct FastChannel: Sendable {
  /// The address of its 4 or 8 bytes, as the agent sees it.
  public var address: UInt64
  /// The least time between two writes, in microseconds, below 2^20; 0 for unknown.
  public var rateLimitMicroseconds: UInt32
  /// The doorbell that the agent rings after a write, or nil when the platform notices by itself.
  public var doorbell: Doorbell?

  /// A register that the agent changes to ring.
  public struct Doorbell: Sendable {
    /// Its width as it is sent: 0 for 8 bits, 1 for 16, 2 for 32 and 3 for 64.
    public var width: UInt32
    /// Its address, as the agent sees it.
    public var address: UInt64
    /// The bits to set.
    public var setMask: UInt64
    /// The bits to leave as they are.
    public var preserveMask: UInt64

    /// A doorbell register.
    public init(width: UInt32, address: UInt64, setMask: UInt64, preserveMask: UInt64) {
      precondition(width < 4, "a doorbell has 8, 16, 32 or 64 bits")
      self.width = width
      self.address = address
      self.setMask = setMask
      self.preserveMask = preserveMask
    }
  }

  /// A channel at an address.
  public init(address: UInt64, rateLimitMicroseconds: UInt32 = 0, doorbell: Doorbell? = nil) {
    self.address = address
    self.rateLimitMicroseconds = rateLimitMicroseconds
    self.doorbell = doorbell
  }
}

/// A region that an agent can read: statistics, or sensor values.
public struct SharedRegion: Sendable {
  /// Its address, as the agent sees it.
  public var address: UInt64
  /// Its length in bytes.
  public var byteCount: UInt32

  /// A region.
  public init(address: UInt64, byteCount: UInt32) {
    self.address = address
    self.byteCount = byteCount
  }
}
