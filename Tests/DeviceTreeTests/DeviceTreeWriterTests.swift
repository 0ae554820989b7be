import CFDT
import Testing

@testable import DeviceTree

@Suite struct DeviceTreeWriterTests {
  /// Writes a small machine into `capacity` bytes and hands the result to `body`.
  func write(capacity: Int, _ body: (DeviceTree) throws -> Void) throws {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 8)
    defer { unsafe memory.deallocate() }
    var writer = unsafe DeviceTreeWriter(at: memory.baseAddress!, capacity: capacity)
    writer.property("#address-cells", cell: 2)
    writer.property("#size-cells", cell: 2)
    writer.property("interrupt-parent", cell: 1)
    writer.beginNode("memory", at: 0x4800_0000)
    writer.property("device_type", string: "memory")
    writer.property("reg", numbers: [0x4800_0000, 0x1000_0000])
    writer.endNode()
    writer.beginNode("intc", at: 0x800_0000)
    writer.property("compatible", string: "arm,gic-v3")
    writer.property("interrupt-controller")
    writer.property("#interrupt-cells", cell: 3)
    writer.property("reg", numbers: [0x800_0000, 0x1_0000, 0x80a_0000, 0x2_0000])
    writer.property("phandle", cell: 1)
    writer.endNode()
    writer.beginNode("virtio", at: 0xa00_0000)
    writer.property("compatible", string: "virtio,mmio")
    writer.property("reg", numbers: [0xa00_0000, 0x200])
    writer.property("interrupts", cells: [0, 144, 1])
    writer.property("dma-coherent")
    writer.endNode()
    writer.beginNode("psci")
    writer.property("compatible", strings: "arm,psci-1.0\0arm,psci-0.2")
    writer.property("method", string: "hvc")
    writer.endNode()
    writer.beginNode("chosen")
    let arguments: [7 of UInt8] = [0x71, 0x75, 0x69, 0x65, 0x74, 0x20, 0x78]
    writer.property("bootargs", string: arguments.span)
    writer.endNode()
    let count = try writer.finish()
    #expect(count <= capacity)
    try body(unsafe DeviceTree(at: UnsafeRawPointer(memory.baseAddress), available: capacity))
  }

  @Test func `What is written is read back`() throws {
    try write(capacity: 4096) { tree in
      let node = try #require(tree.node(compatibleWith: "virtio,mmio"))
      let slot = try tree.virtioSlot(node)
      #expect(slot.registers == AddressRange(base: 0xa00_0000, size: 0x200))
      #expect(slot.interrupt == InterruptSource(identifier: 176, trigger: .edge))
      #expect(try tree.memory(holding: 0x4900_0000) == AddressRange(base: 0x4800_0000, size: 0x1000_0000))
      #expect(try tree.psciConduit() == .hvc)
      #expect(try tree.interruptController().redistributors.base == 0x80a_0000)
    }
  }

  @Test(arguments: [64, 128, 300, 500]) func `Too little room is an error`(_ capacity: Int) {
    #expect(throws: DeviceTreeError.damaged(FDT_ERR_NOSPACE)) {
      try write(capacity: capacity) { _ in }
    }
  }
}
