// Copying between a buffer and private memory, wherever the driver cut the buffer into descriptors.
// §2.7.4.1: the device makes no assumption about the arrangement of descriptors.

public import Wire

extension DescriptorChain {
  /// Copies the next device-readable bytes into `target`, across descriptors.
  ///
  /// Returns how many bytes were copied: fewer than asked when the device-readable part ends.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func read(
    into target: inout MutableRawSpan, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> Int {
    var done = 0
    while done < target.byteCount {
      guard let range = try nextPart(deviceWritable: false, queue) else { break }
      let count = min(target.byteCount - done, Int(range.byteCount))
      var part = target._mutatingExtracting(done..<(done + count))
      range.prefix(UInt32(count)).copyOut(to: &part)
      keep(range.dropFirst(UInt32(count)), isDeviceWritable: false)
      done += count
    }
    return done
  }

  /// Fills `target` from the device-readable part. Throws `.bufferTooShort` when that ends first.
  @inline(__always)
  public mutating func read<let count: Int>(
    _ target: inout ByteArray<count>, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) {
    var bytes = target.mutableBytes
    guard try read(into: &bytes, queue) == count else { throw .bufferTooShort }
  }

  /// Moves past the next `count` device-readable bytes. Returns how many there were.
  #if SMALL
    @inline(never)
  #endif
  public mutating func skip(_ count: UInt32, _ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> UInt32
  {
    var left = count
    while left != 0 {
      guard let range = try nextPart(deviceWritable: false, queue) else { break }
      let step = min(left, range.byteCount)
      keep(range.dropFirst(step), isDeviceWritable: false)
      left -= step
    }
    return count - left
  }

  /// Copies `source` into the next device-writable bytes, across descriptors; what is left of the
  /// device-readable part is skipped.
  ///
  /// Returns how many bytes were copied: fewer than asked when the device-writable part ends.
  #if SMALL
    @inline(never)
  #else
    @inline(__always)
  #endif
  public mutating func write(
    _ source: RawSpan, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> Int {
    var done = 0
    while done < source.byteCount {
      guard let range = try nextPart(deviceWritable: true, queue) else { break }
      let count = min(source.byteCount - done, Int(range.byteCount))
      range.copyIn(from: source.extracting(done..<(done + count)))
      keep(range.dropFirst(UInt32(count)), isDeviceWritable: true)
      done += count
    }
    return done
  }

  /// Writes all of `source`. Throws `.bufferTooShort` when the device-writable part ends first.
  @inline(__always)
  public mutating func write<let count: Int>(
    _ source: ByteArray<count>, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) {
    guard try write(source.bytes, queue) == count else { throw .bufferTooShort }
  }

  /// The next bytes of one direction that lie in one piece, for a backend that works on guest memory.
  ///
  /// For device-readable bytes nil is their end, and the first device-writable element is kept for later.
  /// For device-writable bytes whatever is left of the device-readable part is skipped.
  @inline(__always)
  public mutating func nextPart(
    deviceWritable: Bool, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> GuestRange? {
    while let descriptor = try nextDescriptor(queue) {
      if descriptor.isDeviceWritable == deviceWritable {
        if descriptor.range.byteCount == 0 { continue }
        return descriptor.range
      }
      if descriptor.isDeviceWritable {
        keep(descriptor.range, isDeviceWritable: true)
        return nil
      }
    }
    return nil
  }

  /// The next memory of a buffer that must be device-writable as a whole, or nil at its end.
  ///
  /// Throws `.malformedRequest` at a device-readable element; elements without bytes are skipped.
  @inline(__always)
  public mutating func nextOfWritable(_ queue: borrowing DeviceVirtqueue) throws(DriverFault) -> GuestRange? {
    while let descriptor = try nextDescriptor(queue) {
      guard descriptor.isDeviceWritable else { throw .malformedRequest }
      if descriptor.range.byteCount != 0 { return descriptor.range }
    }
    return nil
  }

  /// How many device-writable bytes are left, as far as `limit`, for devices that must know before they
  /// write.
  ///
  /// The driver may change what it says until the bytes are written: `write` still tells how many there were.
  @inline(never)
  public func writableByteCount(
    limit: Int, _ queue: borrowing DeviceVirtqueue
  ) throws(DriverFault) -> Int {
    var count = 0
    if let rest, rest.isDeviceWritable { count = Int(rest.range.byteCount) }
    var ahead = walk
    while count < limit, let descriptor = try ahead.nextOutOfLine(queue) {
      if descriptor.isDeviceWritable { count += Int(descriptor.range.byteCount) }
    }
    return min(count, limit)
  }

  /// Keeps `range`, the end of the last descriptor, for the next step.
  @inline(__always)
  private mutating func keep(_ range: GuestRange, isDeviceWritable: Bool) {
    if range.byteCount != 0 { rest = RestOfDescriptor(range: range, isDeviceWritable: isDeviceWritable) }
  }
}
