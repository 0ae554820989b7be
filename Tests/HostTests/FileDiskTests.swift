import CLinux
import DeviceTypes
import Glibc
import Host
import QTestSupport
import TestSupport
import Testing
import Virtio

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

  /// Segments of `byteCounts` bytes in `memory`, one after the other with gaps.
  private func segments(_ memory: TestMemory, _ byteCounts: [UInt32]) throws -> [GuestRange] {
    var address = testBase
    return try byteCounts.map { byteCount in
      defer { address += UInt64(byteCount) + 24 }
      return try memory.guest.range(at: address, byteCount: byteCount)
    }
  }

  @Test func `in memory does what is short at once, and the rest in its time`() throws {
    let content = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }
    let memory = TestMemory(byteCount: 2 << 20)
    let most = [UInt32](repeating: 512, count: BlockProperties.segmentLimit)
    for (isOnDisk, byteCounts, isAtOnce) in [
      (false, [512, 3584, 100, 924], true), (false, [128 << 10], true), (false, [128 << 10, 512], false),
      (true, [512], false), (false, most, true), (true, most, false),
    ] as [(Bool, [UInt32], Bool)] {
      let file = try HostFile(content, isOnDisk: isOnDisk)
      var disk = try FileDisk(OpenFile.open(file.path, isWritable: true), isReadOnly: false, firstByte: 512)
      let list = try segments(memory, byteCounts)
      let total = Int(byteCounts.reduce(0, +))
      let read = try disk.read(at: 3, into: list.span, tag: 7)
      #expect((read == .finished) == isAtOnce)
      if !isAtOnce { finish(&disk, tag: 7) }
      let bytes = list.flatMap { memory.bytes($0.address, Int($0.byteCount)) }
      #expect(bytes == Array(content[2048..<2048 + total]))
      let written = try disk.write(at: 100, from: list.span, isDurable: true, tag: 9)
      #expect((written == .finished) == isAtOnce)
      if !isAtOnce { finish(&disk, tag: 9) }
      #expect(try file.read(total, at: 512 + 100 * 512) == bytes)
      let flushed = try disk.flush(tag: 11)
      #expect((flushed == .finished) == !isOnDisk)
      if isOnDisk { finish(&disk, tag: 11) }
    }
  }

  @Test func `a read beyond the end of a file in memory fails, and leaves zeros`() throws {
    let memory = TestMemory()
    let file = try HostFile([UInt8](repeating: 0x5a, count: 8192))
    var disk = try FileDisk(OpenFile.open(file.path, isWritable: true), isReadOnly: false)
    try file.truncate(to: 4096)
    memory.write([UInt8](repeating: 0xee, count: 2048), testBase)
    let list = try segments(memory, [2048])
    let read = try disk.read(at: 6, into: list.span, tag: 1)
    #expect(read == .pending)
    finish(&disk, tag: 1, fault: .inputOutput)
    #expect(memory.bytes(testBase, 1024) == [UInt8](repeating: 0x5a, count: 1024))
    #expect(memory.bytes(testBase + 1024, 1024) == [UInt8](repeating: 0, count: 1024))
  }

  @Test func `an operation that the kernel refuses does not keep the next ones from being started`() throws {
    let file = try HostFile([UInt8](repeating: 0x5a, count: 8192))
    let open = try OpenFile.open(file.path, isWritable: false)
    let event = try OpenFile.event()
    var error: Int32 = 0
    guard let ring = unsafe clinux_ring_create(8, event.number, &error) else { throw SystemError(-error) }
    defer { unsafe clinux_ring_destroy(ring) }
    var bytes = [UInt8](repeating: 0, count: 512)
    var ends: [UInt64: Int32] = [:]
    // More pieces than there can be, and one; all memory outlives what is done with it.
    try unsafe bytes.withUnsafeMutableBytes { buffer in
      let pieces = unsafe [iovec](
        repeating: iovec(iov_base: buffer.baseAddress, iov_len: 1), count: 2000)
      let piece = unsafe [iovec(iov_base: buffer.baseAddress, iov_len: 512)]
      try unsafe pieces.withUnsafeBufferPointer { many in
        try unsafe piece.withUnsafeBufferPointer { one in
          #expect(unsafe clinux_ring_read(ring, open.number, many.baseAddress, 2000, 0, 1) == 0)
          #expect(unsafe clinux_ring_read(ring, open.number, one.baseAddress, 1, 0, 2) == 0)
          var calls = 0
          while unsafe clinux_ring_submit(ring) != 0 {
            calls += 1
            try #require(calls < 100)
          }
          _ = spin(seconds: 20) {
            var (tag, result) = (0 as UInt64, 0 as Int32)
            if unsafe clinux_ring_complete(ring, &tag, &result) != 0 { ends[tag] = result }
            return ends.count == 2
          }
        }
      }
    }
    #expect(ends == [1: -EINVAL, 2: 512] && bytes.allSatisfy { $0 == 0x5a })
  }

  /// Waits for the end of the only request that is pending.
  private func finish(_ disk: inout FileDisk, tag: UInt32, fault: BackendFault? = nil) {
    disk.submit()
    for _ in 0..<20_000 {
      if let end = disk.nextCompletion() {
        #expect(end.tag == tag)
        #expect(end.fault == fault)
        return
      }
      usleep(1000)
    }
    Issue.record("the request does not end")
  }
}
