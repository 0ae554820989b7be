import Testing
import Wire

@testable import DeviceTree

/// Reads a tree from aligned memory of exactly its length.
private func withTree<Result>(
  _ bytes: [UInt8], available: Int? = nil, _ body: (DeviceTree) throws -> Result
) throws -> Result {
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 8)
  defer { unsafe memory.deallocate() }
  unsafe memory.copyBytes(from: bytes)
  return try body(
    unsafe DeviceTree(at: UnsafeRawPointer(memory.baseAddress), available: available ?? bytes.count))
}

private func error(_ bytes: [UInt8], _ body: (DeviceTree) throws -> Void = { _ in }) -> DeviceTreeError? {
  do {
    try withTree(bytes, body)
    return nil
  } catch {
    return error as? DeviceTreeError
  }
}

/// Everything that an image reads of a tree.
private func readAll(_ tree: DeviceTree) throws {
  var next = tree.node(compatibleWith: "virtio,mmio")
  var count = 0
  while let node = next, count < 10_000 {
    _ = try? tree.virtioSlot(node)
    next = tree.node(compatibleWith: "virtio,mmio", after: node)
    count += 1
  }
  #expect(next == nil, "the walk does not end")
  _ = try? tree.interruptController()
  _ = try? tree.timerInterrupt()
  _ = try? tree.serialInterrupt(base: 0x900_0000)
  _ = try? tree.memory(holding: 0x4020_0000)
  _ = try? tree.psciConduit()
  _ = try? tree.bootOptions()
}

@Suite struct DeviceTreeTests {
  @Test func `Slots, with their addresses and interrupts, in the order of the tree`() throws {
    try withTree(machineTree().flattened()) { tree in
      let first = try #require(tree.node(compatibleWith: "virtio,mmio"))
      let second = try #require(tree.node(compatibleWith: "virtio,mmio", after: first))
      #expect(tree.node(compatibleWith: "virtio,mmio", after: second) == nil)
      #expect(
        try tree.virtioSlot(first)
          == VirtioSlot(
            registers: AddressRange(base: 0xa00_0000, size: 0x200),
            interrupt: InterruptSource(identifier: 48, trigger: .edge)))
      #expect(try tree.virtioSlot(second).registers.base == 0xa00_0200)
      #expect(try tree.virtioSlot(second).interrupt.identifier == 49)
    }
  }

  @Test func `The parts of the machine`() throws {
    try withTree(machineTree().flattened()) { tree in
      let controller = try tree.interruptController()
      #expect(controller.distributor == AddressRange(base: 0x800_0000, size: 0x1_0000))
      #expect(controller.redistributors == AddressRange(base: 0x80a_0000, size: 0xf6_0000))
      #expect(try tree.timerInterrupt() == InterruptSource(identifier: 27, trigger: .level))
      #expect(try tree.serialInterrupt(base: 0x900_0000) == InterruptSource(identifier: 33, trigger: .level))
      #expect(try tree.psciConduit() == .smc)
      #expect(try tree.memory(holding: 0x4000_0000).size == 0x800_0000)
      #expect(try tree.memory(holding: 0x47ff_ffff).base == 0x4000_0000)
      #expect(try tree.memory(holding: 0x1_0000_0000).size == 0x10_0000)
      #expect(throws: DeviceTreeError.missing(.memory)) { try tree.memory(holding: 0x4800_0000) }
      #expect(throws: DeviceTreeError.missing(.serialPort)) { try tree.serialInterrupt(base: 0x901_0000) }
    }
  }

  @Test func `Boot options are whole words`() throws {
    try withTree(machineTree().flattened()) { tree in
      let options = try tree.bootOptions()
      #expect(options.contains("check") == true)
      #expect(options.contains("split") == true)
      #expect(options.contains("trap=bounds") == true)
      #expect(options.contains("trap") == false)
      #expect(options.contains("chec") == false)
      #expect(options.contains("checks") == false)
      #expect(try options.number("inorder=") == 1)
      #expect(try options.number("eventidx=") == nil)
      #expect(throws: BootOptionError.notANumber) { try options.number("trap=") }
    }
  }

  @Test(arguments: ["inorder=", "inorder=18446744073709551616", "inorder=1x", "inorder=-1"])
  func `A number that is none`(text: String) throws {
    var root = TreeNode(name: "")
    var chosen = TreeNode(name: "chosen")
    chosen.set("bootargs", text: text)
    root.children = [chosen]
    try withTree(root.flattened()) { tree in
      let options = try tree.bootOptions()
      #expect(throws: BootOptionError.notANumber) { try options.number("inorder=") }
    }
  }

  private static func options(_ text: String) throws -> BootOptions {
    var root = TreeNode(name: "")
    var chosen = TreeNode(name: "chosen")
    chosen.set("bootargs", text: text)
    root.children = [chosen]
    var options = BootOptions()
    try withTree(root.flattened()) { try $0.readBootOptions(into: &options) }
    return options
  }

  @Test func `Boot arguments end at two dashes, and what follows is kept as it is`() throws {
    let options = try Self.options("guests=2 --x  --   console=hvc0  guests=3 -- quiet ")
    #expect(try options.number("guests=") == 2)
    #expect(options.contains("--x") == true)
    #expect(options.contains("quiet") == false)
    #expect(options.hasWord(startingWith: "console=") == false)
    let rest = options.rest
    let text = rest.indices.map { rest[$0] }
    #expect(String(decoding: text, as: UTF8.self) == "console=hvc0  guests=3 -- quiet")
  }

  @Test(arguments: ["", "guests=2", "--", "guests=2 -- ", "guests=2 --   "])
  func `Nothing may follow`(text: String) throws {
    let options = try Self.options(text)
    let count = options.rest.count
    #expect(count == 0)
  }

  @Test func `Lists of numbers`() throws {
    let options = try Self.options("cores=2,1,18446744073709551615 none= comma=1, other=1,x long=1,2,3,4,5")
    let cores: (count: Int, [4 of UInt64])? = try options.numbers("cores=")
    let found = try #require(cores)
    #expect(found.count == 3)
    #expect(found.1[0] == 2 && found.1[1] == 1 && found.1[2] == .max && found.1[3] == 0)
    let missing: (count: Int, [4 of UInt64])? = try options.numbers("absent=")
    #expect(missing == nil)
    for name in ["none=", "comma=", "other=", "long="] as [FixedText] {
      #expect(throws: BootOptionError.notANumber) {
        let _: (count: Int, [4 of UInt64])? = try options.numbers(name)
      }
    }
    #expect(options.hasWord(startingWith: "none=") == true)
    #expect(options.hasWord(startingWith: "comma=1") == true)
  }

  @Test func `Boot arguments longer than the limit are refused, not cut`() {
    var root = TreeNode(name: "")
    var chosen = TreeNode(name: "chosen")
    chosen.set("bootargs", text: String(repeating: "a", count: BootOptions.sizeLimit + 1))
    root.children = [chosen]
    #expect(
      error(root.flattened()) { _ = try $0.bootOptions() } == .badProperty(.bootArguments))
  }

  @Test func `A disabled node is passed over`() throws {
    var root = machineTree()
    root.children[5].set("status", text: "disabled")
    root.children[6].set("status", text: "okay")
    try withTree(root.flattened()) { tree in
      let only = try #require(tree.node(compatibleWith: "virtio,mmio"))
      #expect(try tree.virtioSlot(only).registers.base == 0xa00_0200)
      #expect(tree.node(compatibleWith: "virtio,mmio", after: only) == nil)
    }
  }

  @Test func `A node below a bus that passes addresses on, and one below a bus that does not`() throws {
    var bus = TreeNode(name: "soc")
    bus.set("#address-cells", cells: 1)
    bus.set("#size-cells", cells: 1)
    var node = TreeNode(name: "virtio@a000000")
    node.set("compatible", text: "virtio,mmio")
    node.set("reg", cells: 0xa00_0000, 0x200)
    node.set("interrupts", cells: 0, 3, 4)
    bus.children = [node]
    var root = machineTree()
    var open = bus
    open.set("ranges")
    root.children[5] = open
    try withTree(root.flattened()) { tree in
      let node = try #require(tree.node(compatibleWith: "virtio,mmio"))
      #expect(try tree.virtioSlot(node).registers == AddressRange(base: 0xa00_0000, size: 0x200))
      #expect(try tree.virtioSlot(node).interrupt == InterruptSource(identifier: 35, trigger: .level))
    }
    root.children[5] = bus
    #expect(slotError(root) == .missing(.ranges))
    var moved = bus
    moved.set("ranges", cells: 0, 0x1000_0000, 0x1000_0000)
    root.children[5] = moved
    #expect(slotError(root) == .badProperty(.ranges))
  }

  private func slotError(_ root: TreeNode) -> DeviceTreeError? {
    error(root.flattened()) { tree in
      let node = try #require(tree.node(compatibleWith: "virtio,mmio"))
      _ = try tree.virtioSlot(node)
    }
  }

  private func slotError(_ change: (inout TreeNode) -> Void) -> DeviceTreeError? {
    var root = machineTree()
    change(&root.children[5])
    return slotError(root)
  }

  @Test func `Registers that their binding does not allow`() {
    #expect(slotError { $0.properties[1].value = [] } == .missing(.registers))
    #expect(slotError { $0.properties[1].value.removeLast() } == .badProperty(.registers))
    #expect(slotError { $0.properties.remove(at: 1) } == .missing(.registers))
    #expect(
      slotError { $0.properties[1].value = [UInt8](repeating: 0, count: 16) } == .badProperty(.registers))
    #expect(
      slotError { $0.properties[1].value = [UInt8](repeating: 255, count: 16) } == .badProperty(.registers))
  }

  @Test func `Interrupts that their binding does not allow`() {
    func interrupts(_ cells: [UInt32]) -> DeviceTreeError? {
      slotError { node in
        node.properties.remove(at: 2)
        node.properties.append(
          ("interrupts", cells.flatMap { word in (0..<4).map { UInt8(word >> (24 - 8 * $0) & 255) } }))
      }
    }
    #expect(interrupts([0, 987, 1]) == nil)
    #expect(interrupts([0, 988, 1]) == .badProperty(.interrupts))
    #expect(interrupts([1, 16, 4]) == .badProperty(.interrupts))
    #expect(interrupts([2, 1, 4]) == .badProperty(.interrupts))
    #expect(interrupts([0, 1, 0]) == .badProperty(.interrupts))
    #expect(interrupts([0, 1]) == .badProperty(.interrupts))
    #expect(interrupts([]) == .missing(.interrupts))
    #expect(slotError { $0.properties.remove(at: 2) } == .missing(.interrupts))
  }

  @Test func `An interrupt parent that is none`() {
    var root = machineTree()
    root.properties[2].value = [0, 0, 0, 8]
    #expect(slotError(root) == .badProperty(.interruptParent))
    root.properties.remove(at: 2)
    #expect(slotError(root) == .missing(.interruptParent))
    root = machineTree()
    root.children[2].properties[0].value = Array("arm,cortex-a15-gic\0".utf8)
    #expect(slotError(root) == .badProperty(.interruptParent))
    #expect(error(root.flattened()) { _ = try $0.interruptController() } == .missing(.interruptController))
  }

  @Test func `Cell counts beyond 64 bits`() {
    var root = machineTree()
    root.properties[0].value = [0, 0, 0, 3]
    #expect(slotError(root) == .badProperty(.addressCells))
    root.properties[0].value = [0, 0, 2]
    #expect(slotError(root) == .badProperty(.addressCells))
  }

  @Test func `A tree that is none`() {
    let bytes = machineTree().flattened()
    #expect(error([UInt8](repeating: 0, count: 64)) == .notADeviceTree)
    #expect(error([]) == .tooLong)
    #expect(error(Array(bytes.prefix(39))) == .tooLong)
    var long = bytes
    long[4] = 0x7f
    #expect(error(long) == .tooLong)
    #expect(throws: DeviceTreeError.badAddress) { _ = unsafe try DeviceTree(at: nil, available: 4096) }
    #expect(throws: DeviceTreeError.badAddress) {
      _ = unsafe try DeviceTree(at: UnsafeRawPointer(bitPattern: 0x1004), available: 4096)
    }
  }

  @Test func `A tree cut at any length is refused`() {
    let bytes = machineTree().flattened()
    for length in 0..<bytes.count {
      var cut = Array(bytes.prefix(length))
      #expect(error(cut) != nil)
      // The same with a header that knows.
      guard length >= 40 else { continue }
      for index in 0..<4 { cut[4 + index] = UInt8(UInt32(length) >> (24 - 8 * UInt32(index)) & 255) }
      #expect(error(cut) != nil)
    }
  }

  @Test func `A tree with any byte changed is read to an end`() throws {
    let bytes = machineTree().flattened()
    for index in bytes.indices {
      for value in [0x00, 0x01, 0x7f, 0x80, 0xff, bytes[index] ^ 4] as [UInt8] {
        var changed = bytes
        changed[index] = value
        try? withTree(changed) { try readAll($0) }
      }
    }
  }
}

extension DeviceTree {
  /// The boot arguments, empty if the tree has none.
  fileprivate func bootOptions() throws(DeviceTreeError) -> BootOptions {
    var options = BootOptions()
    try readBootOptions(into: &options)
    return options
  }
}
