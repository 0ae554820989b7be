// The short way for usual requests beside the general way: the same driver on two devices, one of which has
// negotiated EVENT_IDX and takes the short way. The driver must not be able to tell.

import DeviceTypes
import Testing
import TestSupport
import Virtio
import Wire

/// Two rigs that get the same.
private struct TwoRigs {
  var rigs: [BlockRig]

  init(_ change: (DiskScript) -> Void = { _ in }) {
    rigs = [Features.none, .eventIndex].map { features in
      let script = DiskScript()
      change(script)
      var rig = BlockRig(script)
      rig.start(more: features)
      return rig
    }
  }

  mutating func both(_ body: (inout BlockRig) -> Void) {
    for i in rigs.indices { body(&rigs[i]) }
  }

  /// What a driver can see of a rig, and what its disk was asked.
  private func view(_ rig: BlockRig) -> [String] {
    let heads = (0..<rig.driver.usedIndex(0)).suffix(8).map { "\(rig.driver.used(0, $0))" }
    return [
      "\(rig.driver.usedIndex(0))", "\(heads)", "\(rig.script.log.suffix(8))", "\(rig.script.log.count)",
      "\(rig.driver.status)", "\(String(describing: rig.bench.transport.fault))",
      "\(rig.bench.transport.hasWork)",
    ]
  }

  func expectSame(_ comment: Comment, _ location: SourceLocation = #_sourceLocation) {
    let views = rigs.map(view)
    for (general, usual) in zip(views[0], views[1]) {
      #expect(general == usual, comment, sourceLocation: location)
    }
    for n in 0..<4 {
      for (start, count) in [(BlockRig.data(n), 1600), (BlockRig.status(n), 8)] as [(UInt64, Int)] {
        let isSame = rigs[0].memory.bytes(start, count) == rigs[1].memory.bytes(start, count)
        #expect(isSame, comment, sourceLocation: location)
      }
    }
  }
}

/// The same numbers for the same seed.
private struct Numbers {
  var state: UInt64

  mutating func next(_ bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % bound
  }

  mutating func pick<T>(_ list: [T]) -> T { list[next(list.count)] }
}

@Suite struct BlockDeviceUsualTests {
  private func interruptStatus(_ rig: BlockRig) -> UInt64 {
    rig.bench.transport.read(at: MMIORegister.interruptStatus, byteCount: 4)
  }

  /// A request of any form and sense, in the memory and descriptors of request `n`.
  private func request(_ numbers: inout Numbers, _ n: Int) -> (bytes: [UInt8], pieces: [Piece]) {
    let type = numbers.pick([0, 0, 0, 0, 1, 1, 1, 4, 8, 99] as [UInt32])
    let sector = numbers.pick([0, 1, 5, 61, 62, 63, 64, 1 << 55] as [UInt64])
    let isWritable = type == 0 || type == 8
    let (header, data, status) = (BlockRig.header(n), BlockRig.data(n), BlockRig.status(n))
    let size = numbers.pick([512, 512, 1024, 1536, 100] as [UInt32])
    let end = Piece(status, 1, writable: true)
    func part(_ offset: UInt64, _ count: UInt32) -> Piece {
      Piece(data + offset, count, writable: isWritable)
    }
    let pieces =
      switch numbers.next(12) {
      case 0: [Piece(header, 8), Piece(header + 8, 8), part(0, size), end]
      case 1: [Piece(header, 16), end]
      case 2: [Piece(header, 16), part(0, 0), part(0, size), end]
      case 3: [Piece(header, 16), part(0, size), Piece(status, 4, writable: true)]
      case 4: [Piece(header, 16 + size), end]
      case 5: [Piece(header, 15), part(0, size), end]
      case 6, 7: [Piece(header, 16), part(0, 12), part(12, size - 12), end]
      default: [Piece(header, 16), part(0, size), end]
      }
    return (list(BlockRequestHeader(type: BlockRequestType(type), sector: sector).bytes), pieces)
  }

  @Test(arguments: 0..<16 as Range<UInt64>)
  func `no driver can tell the short way from the general one`(seed: UInt64) {
    var numbers = Numbers(state: seed)
    var two = TwoRigs { $0.properties.isReadOnly = seed % 8 == 7 }
    for round in 0..<30 {
      let answer = numbers.pick([.finish, .finish, .finish, .wait, .busy] as [DiskScript.Answer])
      let fault = numbers.pick([nil, nil, nil, .inputOutput, .unsupported] as [BackendFault?])
      let count = 1 + numbers.next(4)
      let requests = (0..<count).map { request(&numbers, $0) }
      let notified = (0..<count).map { $0 == count - 1 || numbers.next(3) == 0 }
      two.both { rig in
        rig.script.answer = answer
        rig.script.fault = fault
        for (n, request) in requests.enumerated() {
          rig.memory.write(request.bytes, BlockRig.header(n))
          rig.memory.store(UInt32(0xeeee_eeee), BlockRig.status(n))
          rig.submit(request.pieces, first: UInt16(8 * n), notify: notified[n])
        }
      }
      two.expectSame("seed \(seed), round \(round)")
      two.both { rig in
        rig.script.answer = .finish
        rig.script.fault = nil
        while !rig.script.waiting.isEmpty { rig.script.end(rig.script.waiting.count / 2) }
        rig.bench.transport.poll()
        while rig.bench.transport.run() {}
      }
      two.expectSame("seed \(seed), round \(round), at its end")
    }
    #expect(two.rigs[0].driver.usedIndex(0) > 30)
  }

  /// A request for each way to break the rules; the second of them is hostile.
  private func hostile(_ rig: inout BlockRig, _ what: Int) {
    rig.send(0, sector: 2, writable: 512, n: 0)
    rig.memory.write(list(BlockRequestHeader(type: .read).bytes), BlockRig.header(1))
    let usual = [
      Piece(BlockRig.header(1), 16), Piece(BlockRig.data(1), 512, writable: true),
      Piece(BlockRig.status(1), 1, writable: true),
    ]
    func change(_ piece: Int, _ new: Piece) -> [Piece] {
      usual.enumerated().map { $0.offset == piece ? new : $0.element }
    }
    switch what {
    case 0...2: rig.submit(change(what, Piece(8, usual[what].byteCount, writable: what != 0)), first: 8)
    case 3...5: rig.submit(change(what - 3, Piece(.max - 3, 16, writable: what != 3)), first: 8)
    case 6: rig.submit(change(1, Piece(BlockRig.data(1), .max, writable: true)), first: 8)
    case 7: rig.submit([usual[1], usual[0], usual[2]], first: 8)
    case 8: rig.submit([usual[0], usual[1]] + [Piece(BlockRig.status(1), 1)], first: 8)
    default:
      rig.submit(usual, first: 8, notify: false)
      let flags: [UInt16] = [RingDescriptor.next, 3, 3, 5, 7, 6]
      let next: [UInt16] = [64, 9, .max, 9, 10, 0]
      let slot: UInt16 = [8, 9, 9, 8, 9, 10][what - 9]
      rig.driver.descriptor(
        0, slot, address: usual[Int(slot) - 8].address, byteCount: usual[Int(slot) - 8].byteCount,
        flags: flags[what - 9], next: next[what - 9])
      rig.bench.transport.availableBuffer(queue: 0)
    }
  }

  @Test(arguments: 0..<15) func `a broken rule is found all the same`(what: Int) {
    var two = TwoRigs()
    two.both { hostile(&$0, what) }
    two.expectSame("rule \(what)")
    #expect(two.rigs[1].bench.transport.fault != nil)
    #expect(two.rigs[1].driver.usedIndex(0) == 1)
  }

  @Test(arguments: [64, 0x8000, .max] as [UInt16]) func `a head outside of the ring`(head: UInt16) {
    var two = TwoRigs()
    two.both { $0.driver.makeAvailable(0, head) }
    two.expectSame("head \(head)")
    #expect(two.rigs[1].bench.transport.fault == .indexOutOfRange)
  }

  @Test(arguments: [65, 0x8000, .max] as [UInt16]) func `an available index that jumps`(index: UInt16) {
    var two = TwoRigs()
    two.both {
      $0.memory.store(index, $0.driver.ring(0) + 0x402)
      $0.bench.transport.availableBuffer(queue: 0)
    }
    two.expectSame("index \(index)")
    #expect(two.rigs[1].bench.transport.fault == .availableIndexJumped)
  }

  @Test(arguments: [0, 1, 512, 1500, 5000] as [UInt64], 1...4 as ClosedRange<UInt16>)
  func `the limits of a service call hold`(byteLimit: UInt64, budget: UInt16) {
    var two = TwoRigs()
    two.both { rig in
      rig.bench.transport.device.byteLimit = byteLimit
      rig.bench.transport.setBudget(budget, queue: 0)
      for n in 0..<4 { rig.send(n == 2 ? 4 : 0, writable: n == 2 ? 0 : 512, n: n, notify: n == 3) }
    }
    // As many as fit; what is left is work, although no notification will come for it.
    let first = two.rigs[1].driver.usedIndex(0)
    #expect(first >= 1 && first <= budget)
    #expect(two.rigs[1].bench.transport.hasWork == (first < 4))
    #expect(two.rigs[0].driver.usedIndex(0) == first)
    two.both { while $0.bench.transport.run() {} }
    two.expectSame("limit \(byteLimit), budget \(budget)")
    #expect(two.rigs[1].driver.usedIndex(0) == 4)
  }

  @Test func `the driver is told what it asked for`() {
    var rig = BlockRig()
    rig.start(more: .eventIndex)
    // used_event, behind the available ring: after the second buffer from here.
    rig.memory.store(UInt16(1), rig.driver.ring(0) + 0x400 + 4 + 2 * 64)
    rig.send(0, writable: 512, n: 0)
    #expect(interruptStatus(rig) == 0)
    rig.send(0, writable: 512, n: 1)
    #expect(interruptStatus(rig) == 1)
    // The device asks for a notification at the next buffer.
    #expect(rig.memory.load(UInt16.self, rig.driver.ring(0) + 0x600 + 4 + 8 * 64) == 2)
  }
}
