public import Virtio

/// Guest address of the first byte of a `TestMemory` made without another.
public let testBase: UInt64 = 0x4000_0000

/// A descriptor of either format, as it lies in memory.
public struct RingDescriptor: Equatable, Sendable {
  /// Guest address of the bytes.
  public var address: UInt64
  /// Length in bytes.
  public var length: UInt32
  /// VIRTQ_DESC_F_*.
  public var flags: UInt16
  /// Split: the next descriptor. Packed: the buffer ID.
  public var link: UInt16

  /// VIRTQ_DESC_F_NEXT.
  public static let next: UInt16 = 1
  /// VIRTQ_DESC_F_WRITE.
  public static let write: UInt16 = 2
  /// VIRTQ_DESC_F_INDIRECT.
  public static let indirect: UInt16 = 4
  /// VIRTQ_DESC_F_AVAIL.
  public static let available: UInt16 = 0x80
  /// VIRTQ_DESC_F_USED.
  public static let used: UInt16 = 0x8000

  /// A descriptor of these fields.
  public init(_ address: UInt64, _ length: UInt32, _ flags: UInt16 = 0, _ link: UInt16 = 0) {
    self.address = address
    self.length = length
    self.flags = flags
    self.link = link
  }
}

/// The bytes of one virtqueue's areas, read and written as either side or an attacker would, with no rules.
public struct RingView {
  /// The memory they lie in.
  public let ram: TestMemory
  /// Where.
  public let addresses: QueueAddresses
  /// Number of descriptors.
  public let size: UInt16

  /// A view of the queue of `size` descriptors at `addresses`.
  public init(_ ram: TestMemory, _ addresses: QueueAddresses, size: UInt16) {
    self.ram = ram
    self.addresses = addresses
    self.size = size
  }

  /// Areas one after the other from guest `address` on, all zero.
  public init(_ ram: TestMemory, at address: UInt64 = testBase, size: UInt16) {
    let driver = address + 16 * UInt64(size)
    let device = (driver + 6 + 2 * UInt64(size) + 3) & ~3
    self.init(
      ram, QueueAddresses(descriptorArea: address, driverArea: driver, deviceArea: device), size: size)
    ram.write([UInt8](repeating: 0, count: Int(device - address) + 6 + 8 * Int(size)), address)
  }

  /// Descriptor `index` of the table or ring in a split queue: flags before link.
  public subscript(split index: Int) -> RingDescriptor {
    get { splitDescriptor(at: addresses.descriptorArea + 16 * UInt64(index)) }
    nonmutating set { setSplitDescriptor(newValue, at: addresses.descriptorArea + 16 * UInt64(index)) }
  }

  /// Descriptor `index` of a packed ring: link before flags.
  public subscript(packed index: Int) -> RingDescriptor {
    get {
      let at = addresses.descriptorArea + 16 * UInt64(index)
      return RingDescriptor(
        ram.load(UInt64.self, at), ram.load(UInt32.self, at + 8), ram.load(UInt16.self, at + 14),
        ram.load(UInt16.self, at + 12))
    }
    nonmutating set {
      let at = addresses.descriptorArea + 16 * UInt64(index)
      ram.store(newValue.address, at)
      ram.store(newValue.length, at + 8)
      ram.store(newValue.link, at + 12)
      ram.store(newValue.flags, at + 14)
    }
  }

  /// A split descriptor anywhere, such as in an indirect table.
  public func splitDescriptor(at address: UInt64) -> RingDescriptor {
    RingDescriptor(
      ram.load(UInt64.self, address), ram.load(UInt32.self, address + 8),
      ram.load(UInt16.self, address + 12), ram.load(UInt16.self, address + 14))
  }

  /// Writes a split descriptor anywhere.
  public func setSplitDescriptor(_ value: RingDescriptor, at address: UInt64) {
    ram.store(value.address, address)
    ram.store(value.length, address + 8)
    ram.store(value.flags, address + 12)
    ram.store(value.link, address + 14)
  }

  /// The available ring's flags.
  public var availableFlags: UInt16 {
    get { ram.load(UInt16.self, addresses.driverArea) }
    nonmutating set { ram.store(newValue, addresses.driverArea) }
  }

  /// The available ring's idx.
  public var availableIndex: UInt16 {
    get { ram.load(UInt16.self, addresses.driverArea + 2) }
    nonmutating set { ram.store(newValue, addresses.driverArea + 2) }
  }

  /// Entry `index` of the available ring.
  public subscript(available index: Int) -> UInt16 {
    get { ram.load(UInt16.self, addresses.driverArea + 4 + 2 * UInt64(index)) }
    nonmutating set { ram.store(newValue, addresses.driverArea + 4 + 2 * UInt64(index)) }
  }

  /// used_event, behind the available ring.
  public var usedEvent: UInt16 {
    get { ram.load(UInt16.self, addresses.driverArea + 4 + 2 * UInt64(size)) }
    nonmutating set { ram.store(newValue, addresses.driverArea + 4 + 2 * UInt64(size)) }
  }

  /// The used ring's flags.
  public var usedFlags: UInt16 {
    get { ram.load(UInt16.self, addresses.deviceArea) }
    nonmutating set { ram.store(newValue, addresses.deviceArea) }
  }

  /// The used ring's idx.
  public var usedIndex: UInt16 {
    get { ram.load(UInt16.self, addresses.deviceArea + 2) }
    nonmutating set { ram.store(newValue, addresses.deviceArea + 2) }
  }

  /// Entry `index` of the used ring.
  public subscript(used index: Int) -> (id: UInt32, length: UInt32) {
    get {
      let at = addresses.deviceArea + 4 + 8 * UInt64(index)
      return (ram.load(UInt32.self, at), ram.load(UInt32.self, at + 4))
    }
    nonmutating set {
      let at = addresses.deviceArea + 4 + 8 * UInt64(index)
      ram.store(newValue.id, at)
      ram.store(newValue.length, at + 4)
    }
  }

  /// avail_event, behind the used ring.
  public var availableEvent: UInt16 {
    get { ram.load(UInt16.self, addresses.deviceArea + 4 + 8 * UInt64(size)) }
    nonmutating set { ram.store(newValue, addresses.deviceArea + 4 + 8 * UInt64(size)) }
  }

  /// Puts `head` into the available ring of a split queue.
  public func offer(_ head: UInt16) {
    self[available: Int(availableIndex) % Int(size)] = head
    availableIndex &+= 1
  }

  /// Puts `id` into the used ring of a split queue.
  public func finish(_ id: UInt16, length: UInt32) {
    self[used: Int(usedIndex) % Int(size)] = (UInt32(id), length)
    usedIndex &+= 1
  }
}
