// Guest memory that front ends share.

import TestSupport
import Testing

@testable import Host

@Suite struct `Shared memory` {
  @Test func `several guests have room in one process`() throws {
    let guests = try (0..<6).map { _ in try SharedMemory() }
    for guest in guests { #expect(guest.addressLimit >= 1 << 36) }
  }

  @Test func `servers on several threads come and go`() {
    let threads = (0..<4).map { _ in
      PeerThread {
        for _ in 0..<25 {
          do {
            let memory = try SharedMemory()
            #expect(!memory.wasLost())
          } catch {
            Issue.record("no room: \(error)")
          }
        }
      }
    }
    for thread in threads { thread.join() }
  }

  @Test func `memory at the limit is refused`() throws {
    let memory = try SharedMemory()
    let region = SharedRegion(
      guestAddress: memory.addressLimit - 4096, byteCount: 8192, frontEndAddress: 0, fileOffset: 0)
    #expect(throws: VhostUserError.self) { try memory.add(region, of: OpenFile(-1)) }
    #expect(memory.regions.isEmpty)
  }
}
