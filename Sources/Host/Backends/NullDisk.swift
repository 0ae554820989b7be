// A disk that is not there, for measuring everything but a disk.

public import DeviceTypes
public import Virtio

/// Takes writes and forgets them; reads leave the driver's memory as it is. Every request ends at once.
public struct NullDisk: BlockBackend, HostedBackend {
  /// Always.
  public static var endsAtOnce: Bool { true }
  /// A writable disk.
  public var properties: BlockProperties { BlockProperties() }
  /// Its size in sectors.
  public let sectorCount: UInt64

  /// A disk of `sectorCount` sectors.
  public init(sectorCount: UInt64) { self.sectorCount = sectorCount }

  /// Nothing is read.
  public mutating func read(
    at sector: UInt64, into segments: Span<GuestRange>, tag: UInt32
  ) throws(BackendFault) -> BlockProgress { .finished }
  /// Nothing is written.
  public mutating func write(
    at sector: UInt64, from segments: Span<GuestRange>, isDurable: Bool, tag: UInt32
  ) throws(BackendFault) -> BlockProgress { .finished }
  /// Nothing to do.
  public mutating func flush(tag: UInt32) throws(BackendFault) -> BlockProgress { .finished }
}
