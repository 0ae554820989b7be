// What a front end can say wrongly: the server refuses it or hangs up, and is as good as before.

import CLinux
import DeviceTypes
import Glibc
import QTestSupport
import TestSupport
import Testing
import Virtio

@testable import Host

@Suite struct `A hostile front end` {
  /// Runs `body` against a server of a disk of 8 MiB that keeps nothing.
  private static func withServer(_ body: (HostileFrontEnd) throws -> Void) throws {
    let served = try ServedDevice { BlockDevice(backend: NullDisk(sectorCount: 1 << 14)) }
    do {
      let frontEnd = try HostileFrontEnd(served.path)
      try body(frontEnd)
    }
    // The server has ended, and not with a trap.
    served.join()
  }

  /// A memory region of the front end, as in ADD_MEM_REG.
  private static func region(
    _ guest: UInt64, _ byteCount: UInt64, user: UInt64 = 0x7000_0000_0000, offset: UInt64 = 0
  ) -> [UInt8] { le(UInt64(0), guest, byteCount, user, offset) }

  @Test(arguments: [
    le(UInt32(1), UInt32(0), UInt32(0)), le(UInt32(1), UInt32(2), UInt32(0)),
    le(UInt32(1), UInt32(5), UInt32(0)), le(UInt32(1), UInt32(1), UInt32.max),
    le(UInt32(0), UInt32(1), UInt32(0)), le(UInt32(9999), UInt32(1), UInt32(4), UInt32(0)),
    le(UInt32(2), UInt32(1), UInt32(4), UInt32(0)), le(UInt32(2), UInt32(1), UInt32(9), UInt64(0), UInt8(0)),
    le(UInt32(5), UInt32(1), UInt32(8), UInt32.max, UInt32(0)), le(UInt32(22), UInt32(1), UInt32(0)),
  ])
  func `messages that are none end the connection`(_ bytes: [UInt8]) throws {
    try Self.withServer { frontEnd in
      frontEnd.send(raw: bytes)
      #expect(frontEnd.receive() == nil)
    }
  }

  @Test(arguments: [1, 11, 12, 15])
  func `a message cut short by the end of the connection does no harm`(_ count: Int) throws {
    let whole = le(UInt32(2), UInt32(1), UInt32(8), UInt64(0))
    try Self.withServer { $0.send(raw: Array(whole.prefix(count))) }
  }

  @Test func `a refusal is a reply, and the next good message works`() throws {
    try Self.withServer { frontEnd in
      frontEnd.negotiate()
      let event = try OpenFile.event()
      let refused: [(VhostUserRequest, [UInt8], [OpenFile])] = [
        (.setFeatures, le(UInt64.max), []),
        (.setFeatures, le(UInt64(0)), []),
        (.setProtocolFeatures, le(UInt64.max), []),
        (.setRingSize, le(UInt32(1), UInt32(64)), []),
        (.setRingSize, le(UInt32.max, UInt32(64)), []),
        (.setRingSize, le(UInt32(0), UInt32.max), []),
        (.setRingSize, le(UInt32(0)), []),
        (.setRingKick, le(UInt64(0)), []),
        (.setRingKick, le(UInt64(0x100)), [event]),
        (.setRingKick, le(UInt64(0)), [event, event]),
        (.setRingKick, le(UInt64(0)), [event]),
        (.setRingKick, le(UInt64(7)), [event]),
        (.setRingCall, le(UInt64(0xff)), [event]),
        (.setRingEnable, le(UInt32(3), UInt32(1)), []),
        (.getFeatures, [], [event]),
        (.setConfiguration, le(UInt32(0), UInt32(3), UInt32(0), UInt16(0), UInt8(0)), []),
        (.setConfiguration, le(UInt32(250), UInt32(8), UInt32(0), UInt64(0)), []),
        (.getConfiguration, le(UInt32.max, UInt32(4), UInt32(0), UInt32(0)), []),
        (.getConfiguration, le(UInt32(0), UInt32(300), UInt32(0)), []),
        (.setStatus, le(UInt64(0)), []), (.setMTU, le(UInt64(1500)), []),
      ]
      for (request, payload, descriptors) in refused {
        #expect(frontEnd.ask(request, payload, descriptors) == false, "\(request) \(payload)")
      }
      #expect(frontEnd.ask(.setRingSize, le(UInt32(0), UInt32(64))) == true)
    }
  }

  @Test func `memory that cannot be is refused`() throws {
    try Self.withServer { frontEnd in
      frontEnd.negotiate()
      let memory = try HostFile([UInt8](repeating: 0, count: 1 << 20))
      let file = try OpenFile.open(memory.path, isWritable: true)
      let event = try OpenFile.event()
      let mebibyte: UInt64 = 1 << 20
      for bad in [
        Self.region(0, 0), Self.region(0, 2 * mebibyte), Self.region(0, mebibyte, offset: 4096),
        Self.region(0, mebibyte, offset: .max), Self.region(0, mebibyte, offset: .max - 4095),
        Self.region(1, 4096), Self.region(0, 100), Self.region(.max - 4095, 4096), Self.region(0, .max),
        Self.region(0, .max - 4095), Self.region(1 << 42, 4096), Self.region(0, 4096, user: .max - 100),
        Self.region(0, 4096, offset: 1),
      ] { #expect(frontEnd.ask(.addMemoryRegion, bad, [file]) == false, "\(bad)") }
      #expect(frontEnd.ask(.addMemoryRegion, Self.region(0, mebibyte), []) == false)
      #expect(frontEnd.ask(.addMemoryRegion, Self.region(0, mebibyte), [event]) == false)
      #expect(frontEnd.ask(.addMemoryRegion, Self.region(0, mebibyte), [file]) == true)
      #expect(frontEnd.ask(.addMemoryRegion, Self.region(4096, 4096), [file]) == false)
      #expect(frontEnd.ask(.removeMemoryRegion, Self.region(0, 4096)) == false)
      for i in 1..<UInt64(SharedMemory.regionLimit) {
        #expect(frontEnd.ask(.addMemoryRegion, Self.region(i * mebibyte, mebibyte), [file]) == true)
      }
      #expect(frontEnd.ask(.addMemoryRegion, Self.region(100 * mebibyte, mebibyte), [file]) == false)
      #expect(frontEnd.ask(.removeMemoryRegion, Self.region(mebibyte, mebibyte)) == true)
    }
  }

  @Test func `a ring outside of memory does not start`() throws {
    try Self.withServer { frontEnd in
      frontEnd.negotiate()
      let user: UInt64 = 0x7000_0000_0000
      let memory = try HostFile([UInt8](repeating: 0, count: 1 << 20))
      let file = try OpenFile.open(memory.path, isWritable: true)
      let event = try OpenFile.event()
      #expect(frontEnd.ask(.addMemoryRegion, Self.region(0, 1 << 20), [file]) == true)
      #expect(frontEnd.ask(.setRingSize, le(UInt32(0), UInt32(64))) == true)
      for offsets in [
        (0 as UInt64, 0x1000 as UInt64, 1 << 20 as UInt64), (1 << 20, 0, 0x1000), (0xf_fff0, 0, 0x1000),
        (0, 1, 0x1000), (8, 0x1000, 0x2000), (0 &- user, 0, 0),
      ] {
        let addresses = le(
          UInt32(0), UInt32(0), user &+ offsets.0, user &+ offsets.1, user &+ offsets.2, UInt64(0))
        #expect(frontEnd.ask(.setRingAddresses, addresses) == true)
        #expect(frontEnd.ask(.setRingKick, le(UInt64(0)), [event]) == false, "\(offsets)")
      }
      let good = le(UInt32(0), UInt32(0), user, user + 0x1000, user + 0x2000, UInt64(0))
      #expect(frontEnd.ask(.setRingAddresses, good) == true)
      #expect(frontEnd.ask(.setRingKick, le(UInt64(0)), [event]) == true)
      // While it works, nothing about it changes.
      #expect(frontEnd.ask(.setRingAddresses, good) == false)
      #expect(frontEnd.ask(.setRingSize, le(UInt32(0), UInt32(32))) == false)
      #expect(frontEnd.ask(.setRingKick, le(UInt64(0)), [event]) == false)
    }
  }

  @Test func `memory that is taken away while a ring works ends the connection only`() throws {
    try Self.withServer { frontEnd in
      frontEnd.negotiate()
      let user: UInt64 = 0x7000_0000_0000
      let memory = try HostFile([UInt8](repeating: 0, count: 1 << 20))
      let file = try OpenFile.open(memory.path, isWritable: true)
      #expect(frontEnd.ask(.addMemoryRegion, Self.region(0, 1 << 20), [file]) == true)
      #expect(frontEnd.ask(.setRingSize, le(UInt32(0), UInt32(64))) == true)
      let addresses = le(UInt32(0), UInt32(0), user, user + 0x1000, user + 0x2000, UInt64(0))
      #expect(frontEnd.ask(.setRingAddresses, addresses) == true)
      #expect(frontEnd.ask(.setRingEnable, le(UInt32(0), UInt32(1))) == true)
      let kick = try OpenFile.event()
      #expect(frontEnd.ask(.setRingKick, le(UInt64(0)), [kick]) == true)
      try memory.truncate(to: 0)
      kick.signal()
      #expect(frontEnd.receive() == nil)
    }
  }

  @Test func `a ring full of nonsense stops the device and not the connection`() throws {
    try Self.withServer { frontEnd in
      frontEnd.negotiate()
      let user: UInt64 = 0x7000_0000_0000
      let memory = try HostFile([UInt8](repeating: 0, count: 1 << 20))
      let file = try OpenFile.open(memory.path, isWritable: true)
      // Descriptors, then an available index that jumps.
      try memory.write([UInt8](repeating: 0xa5, count: 0x3000), at: 0)
      let event = try OpenFile.event()
      #expect(frontEnd.ask(.addMemoryRegion, Self.region(0, 1 << 20), [file]) == true)
      #expect(frontEnd.ask(.setRingSize, le(UInt32(0), UInt32(64))) == true)
      let addresses = le(UInt32(0), UInt32(0), user, user + 0x2000, user + 0x1000, UInt64(0))
      #expect(frontEnd.ask(.setRingAddresses, addresses) == true)
      let broken = try OpenFile.event()
      #expect(frontEnd.ask(.setRingError, le(UInt64(0)), [broken]) == true)
      #expect(frontEnd.ask(.setRingEnable, le(UInt32(0), UInt32(1))) == true)
      #expect(frontEnd.ask(.setRingKick, le(UInt64(0)), [event]) == true)
      #expect(spin(seconds: 20) { clinux_clear(broken.number) != 0 })
      #expect(frontEnd.ask(.resetDevice) == true)
      #expect(frontEnd.ask(.setFeatures, le(UInt64(1) << 32)) == true)
    }
  }

  /// Starts ring 0 in `memory`, of zeros.
  private static func start(_ frontEnd: HostileFrontEnd, _ memory: HostFile, call: OpenFile) throws -> Bool {
    let user: UInt64 = 0x7000_0000_0000
    let addresses = le(UInt32(0), UInt32(0), user, user + 0x1000, user + 0x2000, UInt64(0))
    let steps: [(VhostUserRequest, [UInt8], [OpenFile])] = [
      (.addMemoryRegion, region(0, 1 << 20), [try OpenFile.open(memory.path, isWritable: true)]),
      (.setRingSize, le(UInt32(0), UInt32(64)), []), (.setRingAddresses, addresses, []),
      (.setRingEnable, le(UInt32(0), UInt32(1)), []), (.setRingCall, le(UInt64(0)), [call]),
      (.setRingKick, le(UInt64(0)), [try OpenFile.event()]),
    ]
    return steps.allSatisfy { request, payload, descriptors in
      frontEnd.send(request.rawValue, payload, descriptors)
      return frontEnd.hasReply && frontEnd.receive() == le(UInt64(0))
    }
  }

  @Test func `a full descriptor for used buffers holds nobody up`() throws {
    try Self.withServer { frontEnd in
      frontEnd.negotiate()
      let memory = try HostFile([UInt8](repeating: 0, count: 1 << 20))
      let call = try OpenFile.event()
      call.put(le(UInt64.max - 1))
      // From here on who writes to it waits.
      #expect(fcntl(call.number, F_SETFL, 0) == 0)
      let isStarted = try Self.start(frontEnd, memory, call: call)
      // A server that waits goes on.
      _ = clinux_clear(call.number)
      #expect(isStarted)
      // It is told of events again.
      #expect(frontEnd.ask(.setRingCall, le(UInt64(0)), [call]) == true)
      #expect(call.take(8) == le(UInt64(1)))
    }
  }

  @Test func `a pipe for used buffers that nobody reads ends nothing`() throws {
    try Self.withServer { frontEnd in
      frontEnd.negotiate()
      let memory = try HostFile([UInt8](repeating: 0, count: 1 << 20))
      var ends: [Int32] = [-1, -1]
      #expect(unsafe pipe(&ends) == 0)
      _ = close(ends[0])
      #expect(try Self.start(frontEnd, memory, call: OpenFile(ends[1])))
      #expect(frontEnd.ask(.resetDevice) == true)
    }
  }
}
