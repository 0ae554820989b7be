import Host
import QTestSupport
import Testing

@Suite struct `A disk in a file` {
  @Test func `takes the size of its file when it is told to, unless it has a size of its own`() throws {
    let file = try HostFile([UInt8](repeating: 0, count: 8192))
    func open(_ byteCount: UInt64?) throws -> FileDisk {
      try FileDisk(
        OpenFile.open(file.path, isWritable: true), isReadOnly: false, firstByte: 4096, byteCount: byteCount)
    }
    var whole = try open(nil)
    var part = try open(2048)
    for (length, expected) in [(8192, 8), (16_384, 24), (5000, 1), (4096, 0), (100, 0), (8192, 8)] {
      try file.truncate(to: length)
      whole.lookAgain()
      part.lookAgain()
      let sizes = [whole.sectorCount, part.sectorCount]
      #expect(sizes == [UInt64(expected), 4])
    }
  }
}
