// Writes flattened device trees for the tests, byte by byte, independent of libfdt.

/// One node and what is below it.
struct TreeNode {
  var name: String
  var properties: [(name: String, value: [UInt8])] = []
  var children: [TreeNode] = []

  mutating func set(_ name: String, cells: UInt32...) {
    properties.append((name, cells.flatMap { bigEndian($0) }))
  }
  mutating func set(_ name: String, text: String) {
    properties.append((name, Array(text.utf8) + [0]))
  }
  mutating func set(_ name: String, bytes: [UInt8] = []) {
    properties.append((name, bytes))
  }

  /// The whole tree, of version 17, with this node as its root.
  func flattened() -> [UInt8] {
    var strings: [UInt8] = []
    var structure: [UInt8] = []
    write(to: &structure, strings: &strings)
    structure += bigEndian(9)
    let structureOffset = 40 + 16
    let stringsOffset = structureOffset + structure.count
    let header = [
      0xd00d_feed, UInt32(stringsOffset + strings.count), UInt32(structureOffset), UInt32(stringsOffset), 40,
      17,
      16, 0, UInt32(strings.count), UInt32(structure.count),
    ]
    return header.flatMap { bigEndian($0) } + [UInt8](repeating: 0, count: 16) + structure + strings
  }

  private func write(to structure: inout [UInt8], strings: inout [UInt8]) {
    structure += bigEndian(1) + Array(name.utf8) + [0]
    pad(&structure)
    for property in properties {
      structure += bigEndian(3) + bigEndian(UInt32(property.value.count)) + bigEndian(UInt32(strings.count))
      structure += property.value
      pad(&structure)
      strings += Array(property.name.utf8) + [0]
    }
    for child in children { child.write(to: &structure, strings: &strings) }
    structure += bigEndian(2)
  }

  private func pad(_ bytes: inout [UInt8]) {
    while bytes.count % 4 != 0 { bytes.append(0) }
  }
}

private func bigEndian(_ value: UInt32) -> [UInt8] {
  (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }
}

/// A machine like QEMU's virt, with two virtio slots.
func machineTree() -> TreeNode {
  var root = TreeNode(name: "")
  root.set("#address-cells", cells: 2)
  root.set("#size-cells", cells: 2)
  root.set("interrupt-parent", cells: 7)

  var psci = TreeNode(name: "psci")
  psci.set("compatible", bytes: Array("arm,psci-1.0\0arm,psci-0.2\0".utf8))
  psci.set("method", text: "smc")

  var memory = TreeNode(name: "memory@40000000")
  memory.set("device_type", text: "memory")
  memory.set("reg", cells: 0, 0x4000_0000, 0, 0x800_0000, 1, 0, 0, 0x10_0000)

  var controller = TreeNode(name: "intc@8000000")
  controller.set("compatible", text: "arm,gic-v3")
  controller.set("phandle", cells: 7)
  controller.set("#interrupt-cells", cells: 3)
  controller.set("reg", cells: 0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0xf6_0000)

  var timer = TreeNode(name: "timer")
  timer.set("compatible", bytes: Array("arm,armv8-timer\0arm,armv7-timer\0".utf8))
  timer.set("interrupts", cells: 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4)

  var port = TreeNode(name: "pl011@9000000")
  port.set("compatible", bytes: Array("arm,pl011\0arm,primecell\0".utf8))
  port.set("reg", cells: 0, 0x900_0000, 0, 0x1000)
  port.set("interrupts", cells: 0, 1, 4)

  var chosen = TreeNode(name: "chosen")
  chosen.set("bootargs", text: "check  split inorder=1 trap=bounds")

  root.children = [psci, memory, controller, timer, port, slot(0), slot(1), chosen]
  return root
}

/// A virtio-mmio transport as QEMU describes it.
func slot(_ index: UInt32) -> TreeNode {
  var node = TreeNode(name: "virtio_mmio@a00\(index * 2)00")
  node.set("compatible", text: "virtio,mmio")
  node.set("reg", cells: 0, 0xa00_0000 + index * 0x200, 0, 0x200)
  node.set("interrupts", cells: 0, 16 + index, 1)
  return node
}
