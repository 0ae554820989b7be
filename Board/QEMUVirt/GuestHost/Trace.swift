// A record of everything that passes between guests and host, with time stamps, by the boot option `trace`.
//
// The records are in memory from 0x4900_0000 on, 16 MiB, all numbers little-endian. A header of 64 bytes:
//
//    0  8 bytes  "VIREOTRC"
//    8  u32      version of this format, 1
//   12  u32      length of a record, 32
//   16  u64      how many records there is room for
//   24  u64      how many were written; where that is more, the oldest are gone: record n is at place n
//                modulo the room
//   32  u64      ticks of the clock in a second
//   40           zeros
//
// and then the records:
//
//    0  u64      ticks of the clock when it began
//    8  u32      how many ticks it took
//   12  u8       kind, see `TraceKind`
//   13  u8       core of the board
//   14  u8       guest, 255 for none
//   15  u8       width of an access in bytes
//   16  u64      guest address; for a call its function; for an interrupt its identifier; for another exit
//                ESR_EL2
//   24  u64      what was written or read; the result of a call; where the guest enters
//
// When all guests are off, header and records are written to the file `vireo-trace.bin` in the folder where
// QEMU runs, by semihosting. A debugger may read them at any time.

import CMachine
import DeviceTree
import Machine
import Wire

/// What a record tells of.
enum TraceKind: UInt8 {
  /// A trapped load or store.
  case read = 1
  case write = 2
  /// A call of the firmware, by HVC or SMC.
  case call = 3
  /// Any other exit: a system register, an abort.
  case exit = 4
  /// An interrupt of the host was taken while the guest ran, or by a core without work.
  case hostInterrupt = 5
  /// An interrupt was made pending for the guest: used buffers, or a new configuration.
  case guestInterrupt = 6
  /// A core began to run the guest, or left it.
  case enter = 7
  case leave = 8
}

enum Trace {
  private static var region: AddressRange { AddressRange(base: 0x4900_0000, size: 16 << 20) }
  private static var recordByteCount: UInt64 { 32 }
  private static var headerByteCount: UInt64 { 64 }
  private static var capacity: UInt64 { (region.size - headerByteCount) / recordByteCount }

  // Set before the first guest runs.
  nonisolated(unsafe) private static var wanted = false

  /// Whether records are written.
  @inline(__always) static var isOn: Bool { unsafe wanted }

  /// Begins to record.
  static func start() {
    store(0x4352_544f_4552_4956, 0)  // "VIREOTRC"
    store(1 | recordByteCount << 32, 8)
    store(capacity, 16)
    store(0, 24)
    store(Clock.ticksPerSecond, 32)
    for offset: UInt64 in [40, 48, 56] { store(0, offset) }
    unsafe wanted = true
  }

  /// Writes a record of something that began at `start`, a reading of `Clock.ticks`, and ends now.
  @inline(never)
  static func record(
    _ kind: TraceKind, guest: Int?, start: UInt64, width: Int = 0, _ address: UInt64, _ value: UInt64 = 0
  ) {
    // The count of the header; each record is its taker's alone.
    let number = unsafe machine_count(
      UnsafeMutablePointer(bitPattern: UInt(region.base + 24)).unsafelyUnwrapped)
    let place = headerByteCount + number % capacity * recordByteCount
    let (core, whose) = (machine_read_affinity() & 0xff, UInt64(guest ?? 0xff))
    let taken = min(Clock.ticks &- start, 0xffff_ffff)
    store(start, place)
    store(
      taken | UInt64(kind.rawValue) << 32 | core << 40 | whose << 48 | UInt64(width) << 56, place + 8)
    store(address, place + 16)
    store(value, place + 24)
  }

  /// The same for something that takes no time.
  static func record(_ kind: TraceKind, guest: Int?, _ address: UInt64, _ value: UInt64 = 0) {
    record(kind, guest: guest, start: Clock.ticks, address, value)
  }

  /// Writes what there is to the file. Nothing without `start`.
  static func save() {
    guard isOn else { return }
    unsafe wanted = false
    let count = unsafe UnsafePointer<UInt64>(bitPattern: UInt(region.base + 24)).unsafelyUnwrapped.pointee
    let size = headerByteCount + min(count, capacity) * recordByteCount
    let isWritten = unsafe machine_semihosting_write("vireo-trace.bin", region.base, size) != 0
    Report.line(isWritten ? "trace written to vireo-trace.bin" : "the trace could not be written", guest: nil)
  }

  private static func store(_ value: UInt64, _ offset: UInt64) {
    // Within the region, which is mapped and used by nothing else; offsets are multiples of 8.
    unsafe UnsafeMutablePointer<UInt64>(bitPattern: UInt(region.base + offset)).unsafelyUnwrapped.pointee =
      value.littleEndian
  }
}
