// Stage 2 translation tables of one guest: 4 KiB granule, 39-bit guest addresses, starting at level 1.

/// Why guest memory cannot be mapped.
public enum StageTwoError: Error, Equatable {
  /// An address or a length that is not a multiple of 4096.
  case misaligned
  /// A guest address of 2^39 or more, or a range that ends beyond it or beyond the address space.
  case outOfRange
  /// Part of the range is mapped already.
  case overlaps
  /// The pages for tables are used up.
  case outOfTables
}

/// What kind of memory stage 2 maps.
public enum StageTwoMemory: Sendable {
  /// RAM: write-back, inner shareable, executable.
  case normal
  /// RAM that the two sides map with different cacheability: uncached, never executable.
  case uncached
  /// Device registers: nGnRE, never executable.
  case device
}

/// Memory for translation tables: pages of 512 zeroed entries.
public protocol TablePages: ~Copyable {
  /// The next unused page, or nil when there is none.
  mutating func take() -> Int?
  /// Physical address of a page.
  func address(of page: Int) -> UInt64
  /// The page at a physical address that `address(of:)` gave.
  func page(at address: UInt64) -> Int
  /// Entry `index` of a page.
  func load(_ page: Int, _ index: Int) -> UInt64
  /// Writes entry `index` of a page, where the table walker will see it.
  func store(_ value: UInt64, _ page: Int, _ index: Int)
}

/// The stage 2 tables of one guest. Mappings are only added, before the guest runs.
public struct StageTwo<Pages: TablePages & ~Copyable>: ~Copyable {
  private var pages: Pages
  private let root: Int

  /// Tables that map nothing. Throws `.outOfTables` when there is not one page.
  public init(_ pages: consuming Pages) throws(StageTwoError) {
    var pages = pages
    let root = pages.take()
    self.root = root ?? 0
    self.pages = pages
    if root == nil { throw .outOfTables }
  }

  /// What VTTBR_EL2 holds for virtual machine `identifier`.
  public func translationBase(identifier: UInt8) -> UInt64 {
    pages.address(of: root) | UInt64(identifier) << 48
  }

  /// What VTCR_EL2 holds: T0SZ 25, start at level 1, write-back inner shareable walks, 4 KiB granule, 40-bit
  /// physical addresses, and the bit that is always one.
  public static var control: UInt64 {
    25 | 0b01 << 6 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | 0b010 << 16 | 1 << 31
  }

  /// Maps `byteCount` bytes at guest address `guest` to `physical`.
  ///
  /// Uses 2 MiB blocks where both addresses allow it. On an error a part may be mapped already: the tables
  /// are then not to be used.
  public mutating func map(
    guest: UInt64, physical: UInt64, byteCount: UInt64, _ memory: StageTwoMemory
  ) throws(StageTwoError) {
    guard (guest | physical | byteCount) & 0xfff == 0 else { throw .misaligned }
    let limit: UInt64 = 1 << 39
    guard byteCount <= limit, guest <= limit - byteCount, physical <= 1 << 40 - byteCount else {
      throw .outOfRange
    }
    var done: UInt64 = 0
    while done < byteCount {
      let (from, to) = (guest + done, physical + done)
      let isBlock = (from | to) & (Level.block - 1) == 0 && byteCount - done >= Level.block
      let second = try table(root, Int(from >> 30) & 511)
      if isBlock {
        try set(second, Int(from >> 21) & 511, to | attributes(memory) | Level.blockEntry)
        done += Level.block
      } else {
        let third = try table(second, Int(from >> 21) & 511)
        try set(third, Int(from >> 12) & 511, to | attributes(memory) | Level.pageEntry)
        done += Level.page
      }
    }
  }

  /// Takes all translations away, or gives those that were mapped back: whatever a core of the guest does
  /// without them ends at EL2. The caller then invalidates what the cores remember.
  public mutating func setEnabled(_ isEnabled: Bool) {
    for i in 0..<512 {
      let entry = pages.load(root, i)
      if entry != 0 { pages.store(isEnabled ? entry | 1 : entry & ~1, root, i) }
    }
  }

  /// The physical address that `guest` is mapped to, or nil: what the walker would find.
  public func translate(_ guest: UInt64) -> UInt64? {
    guard guest < 1 << 39 else { return nil }
    let first = pages.load(root, Int(guest >> 30) & 511)
    guard first & 0b11 == Level.tableEntry else { return nil }
    let second = pages.load(pages.page(at: first & Level.addressMask), Int(guest >> 21) & 511)
    if second & 0b11 == Level.blockEntry {
      return second & Level.addressMask & ~(Level.block - 1) | guest & (Level.block - 1)
    }
    guard second & 0b11 == Level.tableEntry else { return nil }
    let third = pages.load(pages.page(at: second & Level.addressMask), Int(guest >> 12) & 511)
    guard third & 0b11 == Level.pageEntry else { return nil }
    return third & Level.addressMask | guest & (Level.page - 1)
  }

  private mutating func table(_ page: Int, _ index: Int) throws(StageTwoError) -> Int {
    let entry = pages.load(page, index)
    if entry & 0b11 == Level.tableEntry { return pages.page(at: entry & Level.addressMask) }
    guard entry == 0 else { throw .overlaps }
    guard let next = pages.take() else { throw .outOfTables }
    pages.store(pages.address(of: next) | Level.tableEntry, page, index)
    return next
  }

  private mutating func set(_ page: Int, _ index: Int, _ entry: UInt64) throws(StageTwoError) {
    guard pages.load(page, index) == 0 else { throw .overlaps }
    pages.store(entry, page, index)
  }

  /// MemAttr, S2AP (read and write), SH, AF and XN of a leaf.
  private func attributes(_ memory: StageTwoMemory) -> UInt64 {
    let common: UInt64 = 0b11 << 6 | 1 << 10
    return switch memory {
    case .normal: common | 0b1111 << 2 | 0b11 << 8
    case .uncached: common | 0b0101 << 2 | 0b10 << 8 | 0b10 << 53
    case .device: common | 0b0001 << 2 | 0b10 << 53
    }
  }
}

private enum Level {
  static var page: UInt64 { 4096 }
  static var block: UInt64 { 2 << 20 }
  static var tableEntry: UInt64 { 0b11 }
  static var blockEntry: UInt64 { 0b01 }
  static var pageEntry: UInt64 { 0b11 }
  static var addressMask: UInt64 { 0x0000_ffff_ffff_f000 }
}
