// Writes a flattened device tree for a guest, through libfdt, into memory that the caller provides. Names and
// strings are ours; only the room can run out.

import CFDT
public import Wire

/// A device tree in the making: nodes and properties in the order in which they are to stand.
///
/// Errors are kept until `finish`, so that a tree is written as one reads it.
@safe public struct DeviceTreeWriter: ~Copyable {
  private let base: UnsafeMutableRawPointer
  private let capacity: Int
  private var error: Int32

  /// Starts a tree in `capacity` bytes at `base`.
  ///
  /// The caller promises that the memory is writable, aligned to 8, and used by nothing else meanwhile.
  @unsafe public init(at base: UnsafeMutableRawPointer, capacity: Int) {
    precondition(capacity > 0 && capacity <= Int(Int32.max), "an absurd room for a device tree")
    unsafe self.base = base
    self.capacity = capacity
    error = unsafe fdt_create(base, Int32(capacity))
    note(unsafe fdt_finish_reservemap(base))
    beginNode("")
  }

  /// Begins a node. `name` holds its unit address; the root's name is empty and begun already.
  @inline(never)
  public mutating func beginNode(_ name: FixedText) {
    // libfdt keeps within the capacity it was given.
    note(unsafe fdt_begin_node(base, name.cString))
  }

  /// Begins a node named `name`@`address`, the address in hexadecimal.
  public mutating func beginNode(_ name: FixedText, at address: UInt64) {
    var text = InlineArray<64, CChar>(repeating: 0)
    let bytes = name.bytes
    var length = bytes.count
    precondition(length <= 40, "a node name that long")
    for i in 0..<length { text[i] = CChar(bitPattern: bytes[i]) }
    text[length] = 0x40
    length += 1
    let digits = max((64 - address.leadingZeroBitCount + 3) / 4, 1)
    for i in 0..<digits {
      let digit = UInt8(truncatingIfNeeded: address >> UInt64(4 * (digits - 1 - i)) & 0xf)
      text[length] = CChar(bitPattern: digit < 10 ? 0x30 + digit : 0x57 + digit)
      length += 1
    }
    let span = text.span
    // Zero-terminated: the array is longer than what was written.
    let result = unsafe span.withUnsafeBufferPointer { unsafe fdt_begin_node(base, $0.baseAddress) }
    note(result)
  }

  /// Ends the node begun last.
  @inline(never)
  public mutating func endNode() { note(unsafe fdt_end_node(base)) }

  /// A property without a value.
  @inline(never)
  public mutating func property(_ name: FixedText) { unsafe write(name, nil, 0) }

  /// A property of one 32-bit cell.
  @inline(never)
  public mutating func property(_ name: FixedText, cell: UInt32) {
    property(name, cells: [cell])
  }

  /// A property of 32-bit cells.
  public mutating func property<let count: Int>(_ name: FixedText, cells: [count of UInt32]) {
    write(name, cells: cells.span)
  }

  /// A property of 64-bit numbers, two cells each.
  public mutating func property<let count: Int>(_ name: FixedText, numbers: [count of UInt64]) {
    write(name, numbers: numbers.span)
  }

  /// A property that is a string.
  @inline(never)
  public mutating func property(_ name: FixedText, string value: FixedText) {
    // With the zero byte at its end.
    unsafe write(name, UnsafeRawPointer(value.start), value.count + 1)
  }

  /// A property that is several strings, with zero bytes between them in `value`.
  @inline(never)
  public mutating func property(_ name: FixedText, strings value: StaticString) {
    // As above.
    unsafe write(name, UnsafeRawPointer(value.utf8Start), value.utf8CodeUnitCount + 1)
  }

  /// A property that is a string of bytes chosen at run time, and `suffix`; a zero byte at the end is added.
  public mutating func property(_ name: FixedText, string value: Span<UInt8>, suffix: FixedText = "") {
    let suffixCount = suffix.count
    let size = value.count + suffixCount + 1
    guard let place = unsafe room(name, size) else { return }
    // libfdt gave room for that many.
    for i in value.indices { unsafe place.storeBytes(of: value[i], toByteOffset: i, as: UInt8.self) }
    // With the zero byte at its end.
    for i in 0...suffixCount {
      unsafe place.storeBytes(of: suffix.start[i], toByteOffset: value.count + i, as: UInt8.self)
    }
  }

  /// Ends the root and the tree. Returns its length in bytes; throws `.damaged` with libfdt's number when the
  /// room ran out (3) or the calls did not nest.
  public consuming func finish() throws(DeviceTreeError) -> Int {
    endNode()
    note(unsafe fdt_finish(base))
    guard error == 0 else { throw .damaged(-error) }
    // libfdt has just written the header: the length is its second word.
    return Int(unsafe UInt32(bigEndian: base.load(fromByteOffset: 4, as: UInt32.self)))
  }

  @inline(never)
  private mutating func write(_ name: FixedText, cells: Span<UInt32>) {
    guard let place = unsafe room(name, 4 * cells.count) else { return }
    // libfdt gave room for that many.
    for i in cells.indices {
      unsafe place.storeBytes(of: cells[i].bigEndian, toByteOffset: 4 * i, as: UInt32.self)
    }
  }

  @inline(never)
  private mutating func write(_ name: FixedText, numbers: Span<UInt64>) {
    guard let place = unsafe room(name, 8 * numbers.count) else { return }
    // As above.
    for i in numbers.indices {
      unsafe place.storeBytes(of: numbers[i].bigEndian, toByteOffset: 8 * i, as: UInt64.self)
    }
  }

  /// Room for the value of a property, `byteCount` bytes; nil when there is none.
  @inline(never)
  private mutating func room(_ name: FixedText, _ byteCount: Int) -> UnsafeMutableRawPointer? {
    var place: UnsafeMutableRawPointer?
    let result = unsafe fdt_property_placeholder(base, name.cString, Int32(byteCount), &place)
    note(result)
    return unsafe result == 0 ? place : nil
  }

  @inline(never)
  private mutating func write(_ name: FixedText, _ value: UnsafeRawPointer?, _ count: Int) {
    // `value` is `count` readable bytes; libfdt copies them.
    note(unsafe fdt_property(base, name.cString, value, Int32(count)))
  }

  private mutating func note(_ result: Int32) {
    if error == 0 { error = result }
  }
}
