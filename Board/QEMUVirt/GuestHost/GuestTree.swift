// The device tree of a guest, from the same table as everything else.

import DeviceTree
import Wire

/// Writes device trees for guests.
enum GuestTree {
  private static var controllerHandle: UInt32 { 1 }

  /// Writes the tree of `guest`.
  static func write(
    _ guest: GuestTable, into writer: consuming DeviceTreeWriter
  ) throws(DeviceTreeError) {
    var writer = writer
    writer.property("compatible", string: "vireo,guest")
    writer.property("model", string: "Vireo guest")
    writer.property("#address-cells", cell: 2)
    writer.property("#size-cells", cell: 2)
    writer.property("interrupt-parent", cell: controllerHandle)
    GuestHost.withOptions { chosen(guest, $0, &writer) }
    cores(guest, &writer)
    writer.beginNode("memory", at: guest.memory.base)
    writer.property("device_type", string: "memory")
    writer.property("reg", numbers: [guest.memory.base, guest.memory.size])
    writer.endNode()
    controller(guest, &writer)
    timerAndFirmware(&writer)
    control(hasDevice: guest.hasControlDevice, &writer)
    consumers(&writer)
    for slot in 0..<Devices.count where Devices.hasDevice(slot: slot, guest: guest.index) {
      virtio(guest, slot, &writer)
    }
    _ = try writer.finish()
  }

  private static func chosen(
    _ guest: GuestTable, _ options: borrowing BootOptions, _ writer: inout DeviceTreeWriter
  ) {
    writer.beginNode("chosen")
    let given = options.rest
    if given.isEmpty {
      writer.property("bootargs", string: given, suffix: defaultArguments(guest.index))
    } else {
      writer.property("bootargs", string: given, suffix: number(guest.index))
    }
    if guest.initrd.size != 0 {
      writer.property("linux,initrd-start", numbers: [guest.initrdAddress])
      writer.property("linux,initrd-end", numbers: [guest.initrdAddress + guest.initrd.size])
    }
    writer.endNode()
  }

  private static func number(_ index: Int) -> FixedText {
    switch index {
    case 0: " vireo.guest=0"
    case 1: " vireo.guest=1"
    case 2: " vireo.guest=2"
    default: " vireo.guest=3"
    }
  }

  private static func defaultArguments(_ index: Int) -> FixedText {
    switch index {
    case 0: "console=hvc0 vireo.guest=0"
    case 1: "console=hvc0 vireo.guest=1"
    case 2: "console=hvc0 vireo.guest=2"
    default: "console=hvc0 vireo.guest=3"
    }
  }

  private static func cores(_ guest: GuestTable, _ writer: inout DeviceTreeWriter) {
    writer.beginNode("cpus")
    writer.property("#address-cells", cell: 1)
    writer.property("#size-cells", cell: 0)
    for i in 0..<guest.coreCount {
      let affinity = UInt64(guest.firstCore + i)
      writer.beginNode("cpu", at: affinity)
      writer.property("device_type", string: "cpu")
      writer.property("compatible", string: "arm,armv8")
      writer.property("reg", cell: UInt32(affinity))
      writer.property("enable-method", string: "psci")
      writer.property("power-domains", cells: [ControlHandle.performance, 0])
      writer.property("power-domain-names", string: "perf")
      writer.endNode()
    }
    writer.endNode()
  }

  private static func controller(_ guest: GuestTable, _ writer: inout DeviceTreeWriter) {
    writer.beginNode("intc", at: Board.distributor)
    writer.property("compatible", string: "arm,gic-v3")
    writer.property("#interrupt-cells", cell: 3)
    writer.property("interrupt-controller")
    writer.property(
      "reg",
      numbers: [
        Board.distributor, 0x1_0000,
        Board.redistributors + UInt64(guest.firstCore) * Board.redistributorStride,
        UInt64(guest.coreCount) * Board.redistributorStride,
      ])
    writer.property("phandle", cell: controllerHandle)
    writer.endNode()
  }

  private static func timerAndFirmware(_ writer: inout DeviceTreeWriter) {
    writer.beginNode("timer")
    writer.property("compatible", string: "arm,armv8-timer")
    // Private interrupts 13, 14, 11 and 10, level high.
    writer.property("interrupts", cells: [1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4])
    writer.property("always-on")
    writer.endNode()
    writer.beginNode("psci")
    writer.property("compatible", strings: "arm,psci-1.0\0arm,psci-0.2")
    writer.property("method", string: "hvc")
    writer.endNode()
  }

  private static func virtio(_ guest: GuestTable, _ slot: Int, _ writer: inout DeviceTreeWriter) {
    let base = Board.virtioBase + UInt64(slot) * Board.virtioStride
    let interrupt = Board.interrupt(guest: guest.index, slot: slot)
    writer.beginNode("virtio_mmio", at: base)
    writer.property("compatible", string: "virtio,mmio")
    writer.property("reg", numbers: [base, Board.virtioStride])
    // Edge: one write to the pending register is one interrupt.
    writer.property("interrupts", cells: [0, interrupt - 32, 1])
    writer.property("dma-coherent")
    if slot == GuestRandomness.slot {
      writer.property("power-domains", cells: [ControlHandle.power, UInt32(ResourceTable.entropy)])
    }
    writer.endNode()
  }
}
