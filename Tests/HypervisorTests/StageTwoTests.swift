import Hypervisor
import Testing

/// Table pages in an array, at made-up physical addresses.
final class PageStore {
  var pages: [[UInt64]] = []
  let limit: Int
  init(limit: Int) { self.limit = limit }
}

struct ArrayPages: TablePages {
  let store: PageStore
  mutating func take() -> Int? {
    if store.pages.count == store.limit { return nil }
    store.pages.append([UInt64](repeating: 0, count: 512))
    return store.pages.count - 1
  }
  func address(of page: Int) -> UInt64 { 0x4030_0000 + UInt64(page) * 4096 }
  func page(at address: UInt64) -> Int { Int(address - 0x4030_0000) / 4096 }
  func load(_ page: Int, _ index: Int) -> UInt64 { store.pages[page][index] }
  func store(_ value: UInt64, _ page: Int, _ index: Int) { store.pages[page][index] = value }
}

@Suite struct StageTwoTests {
  @Test func translationsCanBeTakenAwayAndGivenBack() throws {
    let store = PageStore(limit: 16)
    var tables = try StageTwo(ArrayPages(store: store))
    // Two entries of the root, far apart.
    for base in [0x6000_0000, 0x40_0000_0000] as [UInt64] {
      try tables.map(guest: base, physical: 0x6000_0000, byteCount: 4096, .normal)
    }
    let before = store.pages
    for _ in 0..<2 {
      tables.setEnabled(false)
      for base in [0x6000_0000, 0x40_0000_0000] as [UInt64] {
        let found = tables.translate(base)
        #expect(found == nil)
      }
      // No walker finds anything valid.
      #expect(store.pages[0].allSatisfy { $0 & 1 == 0 })
    }
    tables.setEnabled(true)
    #expect(store.pages == before)
    let found = tables.translate(0x40_0000_0fff)
    #expect(found == 0x6000_0fff)
  }

  @Test func mapsBlocksAndPages() throws {
    let store = PageStore(limit: 16)
    var tables = try StageTwo(ArrayPages(store: store))
    // 4 KiB short of a block, then two blocks, then a page.
    try tables.map(guest: 0x401f_f000, physical: 0x481f_f000, byteCount: 0x40_2000, .normal)
    let mapped: [(UInt64, UInt64?)] = [
      (0x401f_efff, nil), (0x401f_f000, 0x481f_f000), (0x4020_0000, 0x4820_0000),
      (0x403f_fabc, 0x483f_fabc), (0x405f_ffff, 0x485f_ffff), (0x4060_0fff, 0x4860_0fff),
      (0x4060_1000, nil), (1 << 39, nil),
    ]
    for (guest, physical) in mapped {
      let found = tables.translate(guest)
      #expect(found == physical)
    }
    // Root, one level 2, and a level 3 at each end.
    #expect(store.pages.count == 4)
    #expect(store.pages[1].filter { $0 & 0b11 == 0b01 }.count == 2)
    let base = tables.translationBase(identifier: 3)
    #expect(base == 0x3_0000_4030_0000)
  }

  @Test func devicesAreNeverExecutable() throws {
    let store = PageStore(limit: 16)
    var tables = try StageTwo(ArrayPages(store: store))
    try tables.map(guest: 0x0900_0000, physical: 0x0900_0000, byteCount: 4096, .device)
    let entry = store.pages[2][0]
    #expect(entry == 0x0900_0000 | 0b10 << 53 | 1 << 10 | 0b11 << 6 | 0b0001 << 2 | 0b11)
    let neighbour = tables.translate(0x0900_1000)
    #expect(neighbour == nil)
  }

  @Test(arguments: [
    (0x1001 as UInt64, 0 as UInt64, 4096 as UInt64, StageTwoError.misaligned), (0, 8, 4096, .misaligned),
    (0, 0, 1, .misaligned), ((1 << 39) - 4096, 0, 8192, .outOfRange), (1 << 39, 0, 4096, .outOfRange),
    (0, 1 << 40, 4096, .outOfRange), (0, 0, .max & ~0xfff, .outOfRange),
  ]) func refuses(_ guest: UInt64, _ physical: UInt64, _ byteCount: UInt64, _ error: StageTwoError) throws {
    var tables = try StageTwo(ArrayPages(store: PageStore(limit: 16)))
    var thrown: StageTwoError?
    do throws(StageTwoError) {
      try tables.map(guest: guest, physical: physical, byteCount: byteCount, .normal)
    } catch { thrown = error }
    #expect(thrown == error)
  }

  @Test func refusesOverlapAndRunsOut() throws {
    var tables = try StageTwo(ArrayPages(store: PageStore(limit: 3)))
    var errors: [StageTwoError] = []
    try tables.map(guest: 0x4000_0000, physical: 0x4800_0000, byteCount: 0x20_0000, .normal)
    for (guest, byteCount) in [(0x4000_0000 as UInt64, 4096 as UInt64), (0x4000_0000, 0x20_0000)] {
      do throws(StageTwoError) {
        try tables.map(guest: guest, physical: 0, byteCount: byteCount, .normal)
      } catch { errors.append(error) }
    }
    do throws(StageTwoError) {
      try tables.map(guest: 0x4020_0000, physical: 0, byteCount: 4096, .normal)
      try tables.map(guest: 0x4040_0000, physical: 0, byteCount: 4096, .normal)
    } catch { errors.append(error) }
    #expect(errors == [.overlaps, .overlaps, .outOfTables])
  }
}
