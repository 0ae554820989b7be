// The device tree of a guest: its SCMI agent, and the devices that use what the agent controls.

import DeviceTree
import Wire

/// The nodes that others name.
enum ControlHandle {
  static var sharedMemory: UInt32 { 2 }
  static var power: UInt32 { 3 }
  static var performance: UInt32 { 4 }
  static var clock: UInt32 { 5 }
  static var sensor: UInt32 { 6 }
  static var reset: UInt32 { 7 }
  static var processorVoltage: UInt32 { 8 }
  static var peripheralVoltage: UInt32 { 9 }
  static var entropySource: UInt32 { 10 }
  static var entropyClock: UInt32 { 11 }
  static var supplyPins: UInt32 { 12 }
}

extension GuestTree {
  /// The SCMI agent that the guest is, with its protocols: behind a device, which Linux finds by itself, or
  /// by its memory and the call by which it rings.
  @_optimize(size)
  static func control(hasDevice: Bool, _ writer: inout DeviceTreeWriter) {
    if !hasDevice { sharedMemory(&writer) }
    writer.beginNode("firmware")
    writer.beginNode("scmi")
    if hasDevice {
      writer.property("compatible", string: "arm,scmi-virtio")
    } else {
      writer.property("compatible", string: "arm,scmi-smc")
      writer.property("arm,smc-id", cell: Control.functionID)
      writer.property("shmem", cell: ControlHandle.sharedMemory)
    }
    writer.property("#address-cells", cell: 1)
    writer.property("#size-cells", cell: 0)
    provider(0x11, "#power-domain-cells", ControlHandle.power, &writer)
    provider(0x13, "#power-domain-cells", ControlHandle.performance, &writer)
    provider(0x14, "#clock-cells", ControlHandle.clock, &writer)
    provider(0x15, "#thermal-sensor-cells", ControlHandle.sensor, &writer)
    provider(0x16, "#reset-cells", ControlHandle.reset, &writer)
    voltages(&writer)
    // Linux uses System power to be told of requests, which only a device can do.
    if hasDevice { unnamed(0x12, &writer) }
    unnamed(0x18, &writer)
    pins(&writer)
    writer.endNode()
    writer.endNode()
  }

  private static func sharedMemory(_ writer: inout DeviceTreeWriter) {
    writer.beginNode("sram", at: Control.address)
    writer.property("compatible", string: "mmio-sram")
    writer.property("reg", numbers: [Control.address, Control.pageByteCount])
    writer.property("#address-cells", cell: 1)
    writer.property("#size-cells", cell: 1)
    writer.property("ranges", cells: [0, 0, UInt32(Control.address), UInt32(Control.pageByteCount)])
    writer.beginNode("scmi-shmem", at: 0)
    writer.property("compatible", string: "arm,scmi-shmem")
    writer.property("reg", cells: [0, UInt32(Control.areaByteCount)])
    writer.property("phandle", cell: ControlHandle.sharedMemory)
    writer.endNode()
    writer.endNode()
  }

  /// A protocol whose resources others name by one cell.
  @inline(never)
  private static func provider(
    _ number: UInt32, _ cells: FixedText, _ handle: UInt32, _ writer: inout DeviceTreeWriter
  ) {
    writer.beginNode("protocol", at: UInt64(number))
    writer.property("reg", cell: number)
    writer.property(cells, cell: 1)
    writer.property("phandle", cell: handle)
    writer.endNode()
  }

  /// A protocol whose resources nobody names.
  private static func unnamed(_ number: UInt32, _ writer: inout DeviceTreeWriter) {
    writer.beginNode("protocol", at: UInt64(number))
    writer.property("reg", cell: number)
    writer.endNode()
  }

  private static func voltages(_ writer: inout DeviceTreeWriter) {
    writer.beginNode("protocol", at: 0x17)
    writer.property("reg", cell: 0x17)
    writer.beginNode("regulators")
    writer.property("#address-cells", cell: 1)
    writer.property("#size-cells", cell: 0)
    writer.beginNode("regulator", at: UInt64(ResourceTable.processor))
    writer.property("reg", cell: UInt32(ResourceTable.processor))
    regulator(
      "vdd-cores", UInt32(ProcessorModel.lowestVoltage), UInt32(ProcessorModel.highestVoltage),
      ControlHandle.processorVoltage, &writer)
    writer.property("regulator-always-on")
    writer.endNode()
    writer.beginNode("regulator", at: UInt64(ResourceTable.peripherals))
    writer.property("reg", cell: UInt32(ResourceTable.peripherals))
    regulator("vdd-peripherals", 1_800_000, 3_300_000, ControlHandle.peripheralVoltage, &writer)
    writer.endNode()
    writer.endNode()
    writer.endNode()
  }

  private static func pins(_ writer: inout DeviceTreeWriter) {
    writer.beginNode("protocol", at: 0x19)
    writer.property("reg", cell: 0x19)
    writer.beginNode("supply-pins")
    writer.property("groups", string: "peripherals")
    writer.property("function", string: "supply")
    writer.property("drive-strength", cell: 8)
    writer.property("phandle", cell: ControlHandle.supplyPins)
    writer.endNode()
    writer.endNode()
  }

  private static func regulator(
    _ name: FixedText, _ lowest: UInt32, _ highest: UInt32, _ handle: UInt32,
    _ writer: inout DeviceTreeWriter
  ) {
    writer.property("regulator-name", string: name)
    writer.property("regulator-min-microvolt", cell: lowest)
    writer.property("regulator-max-microvolt", cell: highest)
    writer.property("phandle", cell: handle)
  }

  /// Who uses clocks, resets, voltages and sensors, so that Linux's own drivers for such things show them.
  /// The clock of the entropy source is behind a supply, which Linux can switch from user space.
  @_optimize(size)
  static func consumers(_ writer: inout DeviceTreeWriter) {
    writer.beginNode("rtc", at: Board.realTimeClock)
    writer.property("compatible", strings: "arm,pl031\0arm,primecell")
    writer.property("reg", numbers: [Board.realTimeClock, Board.realTimeClockByteCount])
    writer.property("clocks", cells: [ControlHandle.clock, 2])
    writer.property("clock-names", string: "apb_pclk")
    writer.property("resets", cells: [ControlHandle.reset, UInt32(ResourceTable.realTime)])
    writer.property("power-domains", cells: [ControlHandle.power, UInt32(ResourceTable.realTime)])
    writer.endNode()
    writer.beginNode("pwm")
    writer.property("compatible", string: "clk-pwm")
    writer.property("clocks", cells: [ControlHandle.clock, 2])
    writer.property("#pwm-cells", cell: 2)
    writer.endNode()
    writer.beginNode("entropy-clock")
    writer.property("compatible", string: "fixed-factor-clock")
    writer.property("#clock-cells", cell: 0)
    writer.property("clocks", cells: [ControlHandle.clock, 1])
    writer.property("clock-mult", cell: 1)
    writer.property("clock-div", cell: 2)
    writer.property("phandle", cell: ControlHandle.entropyClock)
    writer.endNode()
    writer.beginNode("entropy-source")
    writer.property("compatible", string: "regulator-fixed-clock")
    regulator("entropy-source", 1_000_000, 1_000_000, ControlHandle.entropySource, &writer)
    writer.property("clocks", cell: ControlHandle.entropyClock)
    writer.property("regulator-boot-on")
    writer.endNode()
    // A supply that user space switches: by the file `state`, or where a kernel has only the driver for that,
    // as a light.
    writer.beginNode("entropy-switch")
    writer.property("compatible", strings: "regulator-output\0regulator-led")
    writer.property("vout-supply", cell: ControlHandle.entropySource)
    writer.property("vled-supply", cell: ControlHandle.entropySource)
    writer.endNode()
    writer.beginNode("peripheral-switch")
    writer.property("compatible", string: "regulator-output")
    writer.property("vout-supply", cell: ControlHandle.peripheralVoltage)
    writer.property("pinctrl-names", string: "default")
    writer.property("pinctrl-0", cell: ControlHandle.supplyPins)
    writer.endNode()
    writer.beginNode("core-voltage")
    writer.property("compatible", string: "regulator-virtual-consumer")
    writer.property("default-supply", cell: ControlHandle.processorVoltage)
    writer.endNode()
    thermalZone(&writer)
  }

  private static func thermalZone(_ writer: inout DeviceTreeWriter) {
    writer.beginNode("thermal-zones")
    writer.beginNode("cores-thermal")
    writer.property("polling-delay", cell: 0)
    writer.property("polling-delay-passive", cell: 0)
    writer.property("thermal-sensors", cells: [ControlHandle.sensor, 0])
    writer.beginNode("trips")
    writer.beginNode("hot")
    writer.property("temperature", cell: 110_000)
    writer.property("hysteresis", cell: 1000)
    writer.property("type", string: "critical")
    writer.endNode()
    writer.endNode()
    writer.endNode()
    writer.endNode()
  }
}
