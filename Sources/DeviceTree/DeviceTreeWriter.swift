// Writes a flattened device tree for a guest, through libfdt, into memory that the caller provides. Names and
// strings are ours; only the room can run out.

import CFDT

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
  public mutating func beginNode(_ name: StaticString) {
    // Static strings end with a zero byte; libfdt keeps within the capacity it was given.
    note(unsafe fdt_begin_node(base, UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)))
  }

  /// Begins a node named `name`@`address`, the address in hexadecimal.
  public mutating func beginNode(_ name: StaticString, at address: UInt64) {
    var text = InlineArray<64, CChar>(repeating: 0)
    precondition(name.utf8CodeUnitCount <= 40, "a node name that long")
    var length = 0
    for i in 0..<name.utf8CodeUnitCount {
      // Within the static string.
      text[i] = unsafe CChar(bitPattern: name.utf8Start[i])
      length += 1
    }
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
  public mutating func property(_ name: StaticString) { unsafe write(name, nil, 0) }

  /// A property of 32-bit cells.
  public mutating func property<let count: Int>(_ name: StaticString, cells: [count of UInt32]) {
    var values = cells
    for i in 0..<count { values[i] = values[i].bigEndian }
    let span = values.span
    // The bytes of the array, for the length of the call.
    unsafe span.withUnsafeBytes { unsafe write(name, $0.baseAddress, $0.count) }
  }

  /// A property of 64-bit numbers, two cells each.
  public mutating func property<let count: Int>(_ name: StaticString, numbers: [count of UInt64]) {
    var values = numbers
    for i in 0..<count { values[i] = values[i].bigEndian }
    let span = values.span
    // As above.
    unsafe span.withUnsafeBytes { unsafe write(name, $0.baseAddress, $0.count) }
  }

  /// A property that is a string, or several when `value` holds zero bytes between them.
  @inline(never)
  public mutating func property(_ name: StaticString, string value: StaticString) {
    // With the zero byte at its end.
    unsafe write(name, UnsafeRawPointer(value.utf8Start), value.utf8CodeUnitCount + 1)
  }

  /// A property that is a string of bytes chosen at run time, and `suffix`; a zero byte at the end is added.
  public mutating func property(_ name: StaticString, string value: Span<UInt8>, suffix: StaticString = "") {
    var place: UnsafeMutableRawPointer?
    let size = value.count + suffix.utf8CodeUnitCount + 1
    let result = unsafe fdt_property_placeholder(base, text(name), Int32(size), &place)
    note(result)
    guard result == 0, let place = unsafe place else { return }
    // libfdt gave room for that many.
    for i in value.indices { unsafe place.storeBytes(of: value[i], toByteOffset: i, as: UInt8.self) }
    for i in 0..<suffix.utf8CodeUnitCount {
      unsafe place.storeBytes(of: suffix.utf8Start[i], toByteOffset: value.count + i, as: UInt8.self)
    }
    unsafe place.storeBytes(of: 0, toByteOffset: size - 1, as: UInt8.self)
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

  private func text(_ name: StaticString) -> UnsafePointer<CChar> {
    // Static strings end with a zero byte.
    unsafe UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
  }

  @inline(never)
  private mutating func write(_ name: StaticString, _ value: UnsafeRawPointer?, _ count: Int) {
    // `value` is `count` readable bytes; libfdt copies them.
    note(unsafe fdt_property(base, text(name), value, Int32(count)))
  }

  private mutating func note(_ result: Int32) {
    if error == 0 { error = result }
  }
}
