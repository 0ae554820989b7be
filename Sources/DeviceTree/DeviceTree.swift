// The flattened device tree that firmware hands over, read through libfdt. It comes from outside: whatever it
// holds, reading it ends with a value or a typed error.

import CFDT
public import Wire

/// What is wrong with a device tree, or not in it.
public enum DeviceTreeError: Error, Equatable {
  /// There is no address, or it is no multiple of 8.
  case badAddress
  /// The bytes are no device tree: the magic number is missing.
  case notADeviceTree
  /// It says that it is longer than the memory there, or than any sane tree.
  case tooLong
  /// It is damaged: libfdt's error number, positive.
  case damaged(Int32)
  /// A node or a property that has to be there is not.
  case missing(DeviceTreeItem)
  /// A property of a node has a length or a value that its binding does not allow.
  case badProperty(DeviceTreeItem)
}

/// The parts of a device tree that images read, to say which of them is wrong.
public enum DeviceTreeItem: Sendable, Equatable {
  case registers
  case addressCells
  case ranges
  case interrupts
  case interruptParent
  case interruptController
  case serialPort
  case timer
  case memory
  case psciMethod
  case bootArguments
}

/// A range of physical addresses.
public struct AddressRange: Sendable, Equatable {
  /// The first address.
  public let base: UInt64
  /// Length in bytes; the range ends within 64 bits.
  public let size: UInt64

  /// The `size` bytes from `base` on.
  public init(base: UInt64, size: UInt64) {
    self.base = base
    self.size = size
  }
}

/// How an interrupt line tells of an event.
public enum InterruptTrigger: Sendable, Equatable {
  case level
  case edge
}

/// An interrupt as the GIC counts it.
public struct InterruptSource: Sendable, Equatable {
  /// 16 to 31 for a private peripheral interrupt, 32 to 1019 for a shared one.
  public let identifier: UInt32
  /// How its line tells of an event.
  public let trigger: InterruptTrigger

  /// A source that the processor's architecture says, or a device tree.
  public init(identifier: UInt32, trigger: InterruptTrigger) {
    self.identifier = identifier
    self.trigger = trigger
  }
}

/// A node, valid for the tree that gave it.
public struct DeviceTreeNode: Sendable, Equatable {
  let offset: Int32
}

/// A device tree whose structure was checked once, as a whole. Its memory must not change while it is used.
@safe public struct DeviceTree {
  /// Longest tree that is accepted, in bytes: bounds the work of reading one.
  public static let sizeLimit = 2 << 20

  private let tree: UnsafeRawPointer

  /// Checks the tree at `address`, of which at most `available` bytes may be read.
  @unsafe public init(at address: UnsafeRawPointer?, available: Int) throws(DeviceTreeError) {
    guard let address = unsafe address, UInt(bitPattern: address) & 7 == 0 else { throw .badAddress }
    guard available >= 40 else { throw .tooLong }  // the header
    let magic = unsafe UInt32(bigEndian: address.load(as: UInt32.self))
    guard magic == 0xd00d_feed else { throw .notADeviceTree }
    let size = Int(unsafe UInt32(bigEndian: address.load(fromByteOffset: 4, as: UInt32.self)))
    guard size <= available, size <= Self.sizeLimit else { throw .tooLong }
    let error = unsafe fdt_check_full(address, size)
    guard error == 0 else { throw .damaged(-error) }
    unsafe tree = address
  }

  /// The first node after `previous` in the tree, or the first of all, that is compatible with `name` and not
  /// disabled.
  public func node(
    compatibleWith name: FixedText, after previous: DeviceTreeNode? = nil
  ) -> DeviceTreeNode? {
    var offset = previous?.offset ?? -1
    repeat {
      // The tree was checked, and a static string ends with a zero byte.
      offset = unsafe fdt_node_offset_by_compatible(tree, offset, name.cString)
    } while offset >= 0 && isDisabled(offset)
    return offset >= 0 ? DeviceTreeNode(offset: offset) : nil
  }

  /// The first node after `previous`, or the first of all, whose device_type is "memory".
  public func memoryNode(after previous: DeviceTreeNode? = nil) -> DeviceTreeNode? {
    let type: FixedText = "memory"
    // As above; the value holds the zero byte at its end.
    let offset = unsafe fdt_node_offset_by_prop_value(
      tree, previous?.offset ?? -1, ("device_type" as FixedText).cString, type.start, 7)
    return offset >= 0 ? DeviceTreeNode(offset: offset) : nil
  }

  /// The method by which PSCI is called, or nil if the tree has no PSCI.
  public func psciConduit() throws(DeviceTreeError) -> PSCIConduit? {
    guard
      let node = node(compatibleWith: "arm,psci-1.0") ?? node(compatibleWith: "arm,psci-0.2")
    else { return nil }
    guard let method = property("method", of: node.offset) else { throw .missing(.psciMethod) }
    if method.equals("hvc") { return .hvc }
    if method.equals("smc") { return .smc }
    throw .badProperty(.psciMethod)
  }

  /// Takes the boot arguments over into `options`, in place since that is large. Leaves it if the tree has
  /// none.
  public func readBootOptions(into options: inout BootOptions) throws(DeviceTreeError) {
    // As above.
    let chosen = unsafe fdt_path_offset(tree, ("/chosen" as FixedText).cString)
    guard chosen >= 0, let text = property("bootargs", of: chosen) else { return }
    guard options.take(text) else { throw .badProperty(.bootArguments) }
  }

  // MARK: Pieces for the readers of nodes

  /// A property, or nil if the node has none of that name.
  func property(_ name: FixedText, of node: Int32) -> Property? {
    var length: Int32 = 0
    // As above; libfdt gives the address and the length of bytes within the tree.
    guard let bytes = unsafe fdt_getprop(tree, node, name.cString, &length), length >= 0 else { return nil }
    return unsafe Property(bytes: UnsafeRawBufferPointer(start: bytes, count: Int(length)))
  }

  /// The parent of a node, or nil for the root.
  func parent(of node: Int32) -> Int32? {
    let offset = unsafe fdt_parent_offset(tree, node)
    return offset >= 0 ? offset : nil
  }

  /// The node that has a phandle, or nil.
  func node(phandle: UInt32) -> Int32? {
    let offset = unsafe fdt_node_offset_by_phandle(tree, phandle)
    return offset >= 0 ? offset : nil
  }

  /// Whether a node is compatible with `name`.
  func isCompatible(_ node: Int32, with name: FixedText) -> Bool {
    unsafe fdt_node_check_compatible(tree, node, name.cString) == 0
  }

  private func isDisabled(_ node: Int32) -> Bool {
    guard let status = property("status", of: node) else { return false }
    return !status.equals("okay") && !status.equals("ok")
  }
}

/// How the processor asks its firmware for something.
public enum PSCIConduit: Sendable, Equatable {
  case hvc
  case smc
}

/// The bytes of one property, inside the tree.
@safe struct Property {
  let bytes: UnsafeRawBufferPointer

  var count: Int { unsafe bytes.count }

  /// The big-endian cell at an index. Traps beyond the property.
  func cell(_ index: Int) -> UInt32 {
    // A buffer checks its bounds only in debug builds.
    precondition(index >= 0 && index < count / 4)
    return unsafe UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
  }

  /// A number of one or two cells that starts at an index.
  func number(_ index: Int, cells: Int) -> UInt64 {
    cells == 1 ? UInt64(cell(index)) : UInt64(cell(index)) << 32 | UInt64(cell(index + 1))
  }

  /// The byte at an index. Traps beyond the property.
  func byte(_ index: Int) -> UInt8 {
    precondition(index >= 0 && index < count)
    return unsafe bytes[index]
  }

  /// Whether the property is this text, byte for byte, and the zero byte behind it.
  func equals(_ text: FixedText) -> Bool {
    let wanted = text.bytes
    guard count == wanted.count + 1, byte(count - 1) == 0 else { return false }
    for index in wanted.indices where byte(index) != wanted[index] { return false }
    return true
  }
}

extension FixedText {
  /// The text for C.
  var cString: UnsafePointer<CChar> { unsafe UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self) }
}
