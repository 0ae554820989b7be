import Hypervisor
import Testing

/// Registers of a controller in a dictionary, by word; set and clear registers are not modelled.
final class RegisterStore {
  var words: [Int: UInt32] = [:]
  var writes: [(offset: Int, value: UInt64, byteCount: Int)] = []
}

struct FakeRegisters: InterruptRegisters {
  let store: RegisterStore
  func read32(_ offset: Int) -> UInt32 { store.words[offset] ?? 0 }
  func write32(_ value: UInt32, _ offset: Int) { store.writes.append((offset, UInt64(value), 4)) }
  func write8(_ value: UInt8, _ offset: Int) { store.writes.append((offset, UInt64(value), 1)) }
  func write64(_ value: UInt64, _ offset: Int) { store.writes.append((offset, value, 8)) }
}

/// A filter that a suite can hold.
final class FilterBox {
  var filter: InterruptFilter

  init(owned: InterruptSet) { filter = InterruptFilter(owned: owned) }

  func read(_ offset: Int, byteCount: Int, _ registers: FakeRegisters) -> UInt64 {
    filter.read(offset, byteCount: byteCount, registers)
  }

  func write(_ value: UInt64, _ offset: Int, byteCount: Int, _ registers: FakeRegisters) {
    filter.write(value, offset, byteCount: byteCount, registers)
  }
}

@Suite struct InterruptFilterTests {
  let store = RegisterStore()
  var registers: FakeRegisters { FakeRegisters(store: store) }
  let filter: FilterBox

  init() {
    var owned = InterruptSet()
    for id in [27, 33, 176, 177] { owned.insert(id) }
    filter = FilterBox(owned: owned)
  }

  @Test func bitmapsShowAndTakeOwnedBitsOnly() {
    store.words[0x104] = .max
    #expect(filter.read(0x104, byteCount: 4, registers) == 0b10)
    filter.write(.max, 0x104, byteCount: 4, registers)
    filter.write(.max, 0x180 + 5 * 4, byteCount: 4, registers)
    #expect(store.writes.map(\.value) == [0b10, 0b11 << 16])
  }

  @Test func groupsAreReadOnly() {
    store.words[0x80] = .max
    #expect(filter.read(0x80, byteCount: 4, registers) == 1 << 27)
    filter.write(0, 0x80, byteCount: 4, registers)
    #expect(store.writes.isEmpty)
  }

  @Test func prioritiesAreBytes() {
    store.words[0x400 + 176] = 0x4433_2211
    #expect(filter.read(0x400 + 176, byteCount: 4, registers) == 0x2211)
    #expect(filter.read(0x400 + 177, byteCount: 1, registers) == 0x22)
    #expect(filter.read(0x400 + 178, byteCount: 1, registers) == 0)
    filter.write(0xdd_cc_bb_aa, 0x400 + 176, byteCount: 4, registers)
    filter.write(0xee, 0x400 + 178, byteCount: 1, registers)
    #expect(store.writes.map(\.value) == [0xaa, 0xbb])
  }

  @Test func configurationKeepsTheNeighbours() {
    store.words[0xc00 + 176 / 16 * 4] = 0xffff_fff0
    filter.write(0b10_10_10, 0xc00 + 176 / 16 * 4, byteCount: 4, registers)
    #expect(store.writes.map(\.value) == [0xffff_fff0 & ~0xf | 0b10_10])
  }

  @Test func routesStayWithinTheGuest() {
    filter.filter.addCore(affinity: 2)
    filter.filter.addCore(affinity: 3)
    for (value, id) in [(3 as UInt64, 176), (0, 176), (1 << 31, 177), (3, 178)] {
      filter.write(value, 0x6000 + 8 * id, byteCount: 8, registers)
    }
    #expect(store.writes.map(\.value) == [3, 2, 2])
    #expect(store.writes.map(\.offset) == [0x6580, 0x6580, 0x6588])
  }

  @Test func everythingElseIsNothing() {
    for offset in stride(from: 0, to: 0x1_0000, by: 4) { store.words[offset] = .max }
    for offset in [0, 4, 8, 0x40, 0x800, 0xd00, 0xe00, 0xf00, 0x4000, 0x6000, 0xffe8, 0x102, 0x105] {
      #expect(filter.read(offset, byteCount: 4, registers) == 0, "\(offset)")
      filter.write(.max, offset, byteCount: 4, registers)
    }
    filter.write(.max, 0x104, byteCount: 1, registers)
    filter.write(.max, 0x104, byteCount: 8, registers)
    #expect(store.writes.isEmpty)
  }
}
