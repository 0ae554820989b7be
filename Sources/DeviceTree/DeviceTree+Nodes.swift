// What a node says about itself: its addresses and its interrupts.

import Wire

/// A virtio-mmio transport (virtio 1.4 §4.2.1 MMIO Device Discovery).
public struct VirtioSlot: Sendable, Equatable {
  /// Its registers, and the device's configuration behind them.
  public let registers: AddressRange
  /// Its one interrupt.
  public let interrupt: InterruptSource
}

/// A GICv3.
public struct InterruptController: Sendable, Equatable {
  /// The distributor's registers.
  public let distributor: AddressRange
  /// The first region of redistributors.
  public let redistributors: AddressRange
}

extension DeviceTree {
  /// Deepest nesting of buses that is followed.
  private static let depthLimit = 8

  /// The address and the interrupt of a node that is compatible with "virtio,mmio".
  public func virtioSlot(_ node: DeviceTreeNode) throws(DeviceTreeError) -> VirtioSlot {
    VirtioSlot(registers: try registers(of: node), interrupt: try interrupt(of: node))
  }

  /// The GICv3.
  public func interruptController() throws(DeviceTreeError) -> InterruptController {
    guard let node = node(compatibleWith: "arm,gic-v3") else { throw .missing(.interruptController) }
    return InterruptController(
      distributor: try registers(of: node, at: 0), redistributors: try registers(of: node, at: 1))
  }

  /// The interrupt of a timer of the architecture's timer node: by default the third, the virtual timer.
  public func timerInterrupt(_ index: Int = 2) throws(DeviceTreeError) -> InterruptSource {
    guard let node = node(compatibleWith: "arm,armv8-timer") else { throw .missing(.timer) }
    return try interrupt(of: node, at: index)
  }

  /// The interrupt of the PL011 whose registers are at `base`.
  public func serialInterrupt(base: UInt64) throws(DeviceTreeError) -> InterruptSource {
    var port = node(compatibleWith: "arm,pl011")
    while let node = port {
      if try registers(of: node).base == base { return try interrupt(of: node) }
      port = self.node(compatibleWith: "arm,pl011", after: node)
    }
    throw .missing(.serialPort)
  }

  /// The range of RAM that holds an address.
  public func memory(holding address: UInt64) throws(DeviceTreeError) -> AddressRange {
    var next = memoryNode()
    while let node = next {
      for index in 0..<(try registerCount(of: node)) {
        let range = try registers(of: node, at: index)
        if address >= range.base, address - range.base < range.size { return range }
      }
      next = memoryNode(after: node)
    }
    throw .missing(.memory)
  }

  /// How many ranges the "reg" of a node has.
  public func registerCount(of node: DeviceTreeNode) throws(DeviceTreeError) -> Int {
    guard let reg = property("reg", of: node.offset) else { return 0 }
    let cells = try addressCells(of: node.offset)
    guard reg.count % (cells.total * 4) == 0 else { throw .badProperty(.registers) }
    return reg.count / (cells.total * 4)
  }

  /// One range of the "reg" of a node, as the processor sees it.
  public func registers(of node: DeviceTreeNode, at index: Int = 0) throws(DeviceTreeError) -> AddressRange {
    guard let reg = property("reg", of: node.offset) else { throw .missing(.registers) }
    let cells = try addressCells(of: node.offset)
    guard reg.count % (cells.total * 4) == 0 else { throw .badProperty(.registers) }
    guard index >= 0, index < reg.count / (cells.total * 4) else { throw .missing(.registers) }
    try checkBus(of: node.offset)
    let base = reg.number(index * cells.total, cells: cells.address)
    let size = reg.number(index * cells.total + cells.address, cells: cells.size)
    guard size > 0, !base.addingReportingOverflow(size - 1).overflow else { throw .badProperty(.registers) }
    return AddressRange(base: base, size: size)
  }

  /// One of the "interrupts" of a node, which have to go to a GICv3.
  public func interrupt(of node: DeviceTreeNode, at index: Int = 0) throws(DeviceTreeError) -> InterruptSource
  {
    guard let interrupts = property("interrupts", of: node.offset) else { throw .missing(.interrupts) }
    let cells = try interruptCells(of: node.offset)
    guard interrupts.count % (cells * 4) == 0 else { throw .badProperty(.interrupts) }
    guard index >= 0, index < interrupts.count / (cells * 4) else { throw .missing(.interrupts) }
    let number = interrupts.cell(index * cells + 1)
    let flags = interrupts.cell(index * cells + 2) & 0xf
    let trigger: InterruptTrigger
    switch flags {
    case 1, 2: trigger = .edge
    case 4, 8: trigger = .level
    default: throw .badProperty(.interrupts)
    }
    switch interrupts.cell(index * cells) {
    case 0 where number < 988: return InterruptSource(identifier: number + 32, trigger: trigger)
    case 1 where number < 16: return InterruptSource(identifier: number + 16, trigger: trigger)
    default: throw .badProperty(.interrupts)
    }
  }

  private struct Cells {
    let address: Int
    let size: Int
    var total: Int { address + size }
  }

  /// How the parent of a node counts addresses and sizes; the specification's defaults are 2 and 1.
  private func addressCells(of node: Int32) throws(DeviceTreeError) -> Cells {
    guard let parent = parent(of: node) else { throw .badProperty(.addressCells) }
    let address = try cell("#address-cells", of: parent, default: 2)
    let size = try cell("#size-cells", of: parent, default: 1)
    guard (1...2).contains(address), (1...2).contains(size) else { throw .badProperty(.addressCells) }
    return Cells(address: Int(address), size: Int(size))
  }

  private func cell(
    _ name: FixedText, of node: Int32, default value: UInt32
  ) throws(DeviceTreeError) -> UInt32 {
    guard let property = property(name, of: node) else { return value }
    guard property.count == 4 else { throw .badProperty(.addressCells) }
    return property.cell(0)
  }

  /// Addresses are the processor's only if every bus above the node passes them on unchanged, by an empty
  /// "ranges".
  private func checkBus(of node: Int32) throws(DeviceTreeError) {
    var bus = parent(of: node)
    for _ in 0..<Self.depthLimit {
      guard let current = bus, let above = parent(of: current) else { return }
      guard let ranges = property("ranges", of: current) else { throw .missing(.ranges) }
      guard ranges.count == 0 else { throw .badProperty(.ranges) }
      bus = above
    }
    throw .badProperty(.ranges)
  }

  /// How many cells an interrupt of a node has; only a GICv3 is known as their destination.
  private func interruptCells(of node: Int32) throws(DeviceTreeError) -> Int {
    var current: Int32? = node
    for _ in 0..<Self.depthLimit {
      guard let place = current else { break }
      if let phandle = property("interrupt-parent", of: place) {
        guard phandle.count == 4, let controller = self.node(phandle: phandle.cell(0)) else {
          throw .badProperty(.interruptParent)
        }
        guard isCompatible(controller, with: "arm,gic-v3"),
          let cells = property("#interrupt-cells", of: controller), cells.count == 4,
          (3...4).contains(cells.cell(0))
        else { throw .badProperty(.interruptParent) }
        return Int(cells.cell(0))
      }
      current = parent(of: place)
    }
    throw .missing(.interruptParent)
  }
}
