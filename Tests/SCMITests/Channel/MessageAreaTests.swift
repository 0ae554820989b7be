// The layout of the shared memory area, and its two sides against each other and against a lying one.

import SCMI
import Testing
import Wire

@Suite struct MessageAreaTests {
  let memory = SharedBytes()
  var area: MessageArea { MessageArea(memory.area) }

  @Test func `a posted message has the layout of the specification`() {
    area.initialize()
    #expect(memory[0x04] == 1 && memory[0x10] == 0 && memory[0x14] == 0)
    let isPosted = area.post(messageBytes([1, 2, 3, 4, 5, 6, 7]), byteCount: 7, wantsInterrupt: true)
    #expect(isPosted)
    #expect(memory[0x04] == 0)
    #expect(memory[0x10] == 1)
    #expect(memory[0x14] == 7)
    #expect(memory[0x18] == 0x0403_0201)
    // What follows in our memory stays there.
    #expect(memory[0x1C] == 0x0007_0605)
    // Reserved fields are left alone.
    #expect(memory[0x00] == 0xA5A5_A5A5 && memory[0x08] == 0xA5A5_A5A5 && memory[0x0C] == 0xA5A5_A5A5)
    #expect(memory.isIntact)
  }

  @Test func `a channel that is not free takes nothing`() {
    memory[0x04] = 0
    let isPosted = area.post(messageBytes([1, 2, 3, 4]), byteCount: 4, wantsInterrupt: false)
    #expect(!isPosted)
    #expect(memory[0x18] == 0xA5A5_A5A5)
    #expect(!area.isFree)
  }

  @Test func `both sides understand each other at every length`() {
    area.initialize()
    var message = MessageBytes()
    for count in 4...area.capacity {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 + count) }
      let isPosted = area.post(messageBytes(bytes), byteCount: count, wantsInterrupt: count & 1 != 0)
      #expect(isPosted)
      #expect(area.collect(&message) == .nothing)
      #expect(area.take(&message) == .message(byteCount: count, wantsInterrupt: count & 1 != 0))
      #expect((0..<count).map { message[$0] } == bytes)
      area.answer(messageBytes(bytes.reversed()), byteCount: count)
      #expect(area.take(&message) == .nothing)
      #expect(area.collect(&message) == .message(byteCount: count, wantsInterrupt: false))
      #expect((0..<count).map { message[$0] } == bytes.reversed())
      #expect(memory.isIntact)
    }
  }

  @Test func `capacity is what lies behind the header, and 256 bytes at most`() {
    #expect(area.capacity == 128 - 0x18)
    #expect(MessageArea(SharedBytes(0x20).area).capacity == 8)
    #expect(MessageArea(SharedBytes(4096).area).capacity == 256)
  }

  @Test(arguments: [0, 1, 3, 105, 128, 0x8000_0004, .max] as [UInt32])
  func `a length that no message has is malformed, on both sides`(_ length: UInt32) {
    var message = MessageBytes()
    memory.post([1, 2, 3, 4], length: length, flags: 1)
    #expect(area.take(&message) == .malformed(wantsInterrupt: true))
    memory[0x04] = 1
    #expect(area.collect(&message) == .malformed(wantsInterrupt: false))
  }

  @Test func `an error of the channel is seen by who sent`() {
    var message = MessageBytes()
    memory.post([1, 2, 3, 4])
    area.refuse()
    #expect(memory[0x04] == 3)
    #expect(area.collect(&message) == .error)
    // The next message clears it.
    let isPosted = area.post(messageBytes([1, 2, 3, 4]), byteCount: 4, wantsInterrupt: false)
    #expect(isPosted && memory[0x04] == 0)
  }

  @Test func `undefined bits of status and flags mean nothing`() {
    var message = MessageBytes()
    memory.post([1, 2, 3, 4], flags: 0xFFFF_FFFE)
    memory[0x04] = 0xFFFF_FFFC
    #expect(area.take(&message) == .message(byteCount: 4, wantsInterrupt: false))
  }
}
