// Pages for translation tables, set apart at link time.

import Hypervisor

/// Translation tables in memory of the image, all from one pool: three for each guest whose RAM lies in two
/// blocks of 1 GiB, two for its page of shared memory, and one for each such block of the host's own.
struct TablePool: TablePages, ~Copyable {
  private static let capacity = 24
  private static let pageByteCount: UInt64 = 4096
  // Only the first core writes them, before a walker reads them. One page more than the capacity, to find a
  // page boundary in.
  nonisolated(unsafe) private static var storage = InlineArray<12800, UInt64>(repeating: 0)
  nonisolated(unsafe) private static var used = 0
  private let base: UInt64

  init() {
    // The storage is for ever.
    let start = unsafe withUnsafeMutablePointer(to: &Self.storage) { UInt64(UInt(bitPattern: $0)) }
    base = (start + Self.pageByteCount - 1) & ~(Self.pageByteCount - 1)
  }

  mutating func take() -> Int? {
    let page = unsafe Self.used
    guard page < Self.capacity else { return nil }
    unsafe Self.used = page + 1
    return page
  }

  func address(of page: Int) -> UInt64 { base + UInt64(page) * Self.pageByteCount }
  func page(at address: UInt64) -> Int { Int((address - base) / Self.pageByteCount) }
  func load(_ page: Int, _ index: Int) -> UInt64 { unsafe entry(page, index).pointee }
  func store(_ value: UInt64, _ page: Int, _ index: Int) { unsafe entry(page, index).pointee = value }

  private func entry(_ page: Int, _ index: Int) -> UnsafeMutablePointer<UInt64> {
    precondition(page >= 0 && page < Self.capacity && index >= 0 && index < 512, "not a table entry")
    // Within the storage.
    return unsafe UnsafeMutablePointer(bitPattern: UInt(address(of: page)) + UInt(index) * 8)
      .unsafelyUnwrapped
  }
}
