// Every command of Power, System power, Performance, Reset and Voltage, our agent on our platform.

import SCMI
import Testing
import Wire

@Suite struct `Our agent on our domains` {
  /// The next event, which must be there.
  private func event(_ it: Loopback) throws -> AgentEvent {
    it.wires.serve()
    return try #require(try it.agent.nextEvent())
  }

  @Test func `Power`() throws {
    var board = TestBoard()
    board.domains = [
      TestPower(name: SCMIName("a power domain with a long name")),
      TestPower(description: PowerDomainDescription(isAsynchronous: true)),
    ]
    let it = Loopback(board)
    let protocolAttributes = try it.call(CommonCommand.attributesAndRegion(.power))
    #expect(protocolAttributes.attributes == 2)
    #expect(protocolAttributes.regionAddress == 0x1_2345_6011 && protocolAttributes.regionByteCount == 64)
    let attributes = try it.call(PowerCommand.domainAttributes(0))
    #expect(attributes.name == SCMIName("a power domain "))
    #expect(attributes.attributes & PowerAttribute.hasExtendedName != 0)
    #expect(try it.call(PowerCommand.domainNameGet(0)).name == SCMIName("a power domain with a long name"))
    #expect(try it.call(PowerCommand.stateGet(0)) == PowerMessage.off)
    _ = try it.call(PowerCommand.stateNotify(1, true))
    _ = try it.call(PowerCommand.stateSet(0, PowerMessage.on))
    #expect(it.bench.board.domains[0].isOn)
    #expect(try it.call(PowerCommand.stateGet(0)) == PowerMessage.on)
    _ = try it.call(PowerCommand.stateChangeRequestedNotify(1, true))
    _ = try it.call(PowerCommand.stateSet(1, PowerMessage.on, isAsynchronous: true))
    let requested = try event(it)
    #expect(requested.header.message == PowerMessage.stateChangeRequested)
    #expect(try requested.notification(ResourceNotification.self).value == PowerMessage.on)
    it.bench.platform.powerStateChanged(PowerDomainID(1), by: AgentID(1))
    let changed = try event(it).notification(ResourceNotification.self)
    #expect(changed.agent == 1 && changed.identifier == 1 && changed.value == PowerMessage.on)
    _ = try it.call(PowerCommand.stateNotify(1, false))
    #expect(throws: AgentFault.status(.notFound)) { try it.call(PowerCommand.stateGet(2)) }
  }

  @Test func `System power`() throws {
    var board = TestBoard()
    board.systemStates = [.shutdown, .coldReset]
    let it = Loopback(board)
    #expect(try it.call(CommonCommand.version(.systemPower)) == 0x20001)
    #expect(try it.call(SystemPowerCommand.stateGet) == SystemPowerState.powerUp.rawValue)
    _ = try it.call(SystemPowerCommand.stateNotify(true))
    it.bench.platform.requestSystemPower(.shutdown, isGraceful: true, system: 0)
    let notice = try event(it).notification(SystemPowerCommand.StateNotification.self)
    #expect(notice.agent == 0 && notice.isGraceful && notice.state == .shutdown)
    #expect(notice.timeoutMilliseconds == 5000)
    _ = try it.call(SystemPowerCommand.stateSet(.coldReset, isGraceful: false))
    #expect(it.bench.board.systemSettings == [[0, 1]])
    #expect(throws: AgentFault.status(.notSupported)) {
      try it.call(SystemPowerCommand.stateSet(.suspend, isGraceful: false))
    }
  }

  @Test func `Performance`() throws {
    let levels = (1...12).map { (value: UInt32) in
      PerformanceLevel(
        value: value * 10, power: value * 1000, latencyMicroseconds: UInt16(value),
        frequencyKilohertz: value * 100)
    }
    var board = TestBoard()
    board.performance = [
      TestPerformance(name: SCMIName("a processor with a long name"), levels: levels),
      TestPerformance(levels: levels, isIndexed: true),
    ]
    board.performance[0].channels = [
      PerformanceMessage.levelSet: FastChannel(
        address: 0x1_0000_2000, rateLimitMicroseconds: 7,
        doorbell: FastChannel.Doorbell(width: 2, address: 0x2_0000_0004, setMask: 1, preserveMask: 0xFE))
    ]
    let it = Loopback(board)
    let attributes = try it.call(PerformanceCommand.domainAttributes(0))
    #expect(attributes.rateLimitMicroseconds == 9 && attributes.sustainedLevel == 20)
    #expect(attributes.sustainedFrequencyKilohertz == 2_000_000)
    #expect(try it.call(PerformanceCommand.domainNameGet(0)).name == SCMIName("a processor with a long name"))

    // 92 bytes of levels in an area of 104: four of 20 bytes, or seven of 12 in older versions.
    var indexed = try it.call(PerformanceCommand.describeIndexedLevels(1, from: 4)).list
    #expect(indexed.count == 4 && indexed.remaining == 4)
    let fifth = try indexed.next(PerformanceCommand.IndexedLevel.self)
    #expect(fifth.index == 4 && fifth.frequencyKilohertz == 500 && fifth.level.value == 50)
    _ = try it.call(CommonCommand.negotiate(.performance, version: 0x20000))
    var list = try it.call(PerformanceCommand.describeLevels(0, from: 0)).list
    #expect(list.count == 7 && list.remaining == 5)
    let first = try list.next(PerformanceCommand.Level.self)
    #expect(first.value == 10 && first.latencyMicroseconds == 1 && first.power > 0)
    _ = try it.call(CommonCommand.negotiate(.performance, version: 0x40000))

    _ = try it.call(PerformanceCommand.notifyLevel(0, true))
    _ = try it.call(PerformanceCommand.notifyLimits(0, true))
    _ = try it.call(PerformanceCommand.levelSet(0, 50))
    #expect(try it.call(PerformanceCommand.levelGet(0)) == 50)
    let level = try event(it)
    #expect(try level.notification(ResourceNotification.self).value == 50)
    _ = try it.call(PerformanceCommand.limitsSet(0, highest: 90, lowest: 20))
    let limits = try it.call(PerformanceCommand.limitsGet(0))
    #expect(limits.highest == 90 && limits.lowest == 20)
    let changed = try event(it).notification(ResourcePairNotification.self)
    #expect(changed.first == 90 && changed.second == 20 && changed.agent == 1)

    let channel = try it.call(
      PerformanceCommand.describeFastChannel(0, PerformanceMessage.levelSet))
    #expect(channel.address == 0x1_0000_2000 && channel.byteCount == 4)
    #expect(channel.rateLimitMicroseconds == 7 && channel.doorbellAddress == 0x2_0000_0004)
    #expect(channel.doorbellSetMask == 1 && channel.doorbellPreserveMask == 0xFE)
    #expect(channel.attributes & 7 == 5)
  }

  @Test func `Reset`() throws {
    var board = TestBoard()
    board.resets = [
      TestReset(
        name: SCMIName("a reset with a long name"),
        description: ResetDomainDescription(
          latencyMicroseconds: 50, isAsynchronous: true, notifiesResets: true))
    ]
    let it = Loopback(board)
    let attributes = try it.call(ResetCommand.domainAttributes(0))
    #expect(attributes.latencyMicroseconds == 50 && attributes.name == SCMIName("a reset with a "))
    #expect(try it.call(ResetCommand.domainNameGet(0)).name == SCMIName("a reset with a long name"))
    _ = try it.call(ResetCommand.notify(0, true))
    _ = try it.call(ResetCommand.reset(0))
    #expect(it.bench.board.resets[0].resets == 1)
    let issued = try event(it).notification(ResourceNotification.self)
    #expect(issued.agent == 1 && issued.identifier == 0 && issued.value == 0)
    _ = try it.call(ResetCommand.reset(0, flags: ResetFlag.asserts))
    #expect(it.bench.board.resets[0].isAsserted)
    _ = try it.call(ResetCommand.reset(0, flags: 0))
    #expect(!it.bench.board.resets[0].isAsserted)
    while try it.agent.nextEvent() != nil {}
    _ = try it.call(ResetCommand.notify(0, false))
    let pending = try it.agent.callAsynchronously(ResetCommand.resetAsynchronously(0))
    let delayed = try event(it)
    #expect(delayed.answers(pending))
    #expect(try delayed.delayedResponse(UInt32.self) == 0)
    #expect(it.bench.board.resets[0].resets == 2)
  }

  @Test func `Voltage`() throws {
    var board = TestBoard()
    board.voltages = [
      TestVoltage(name: SCMIName("a supply with a long name"), levels: [-500_000, 800_000, 1_200_000]),
      TestVoltage(range: .range(lowest: 0, highest: 3_300_000, step: 100_000), isAsynchronous: true),
    ]
    let it = Loopback(board)
    #expect(try it.call(CommonCommand.attributes(.voltage)) == 2)
    #expect(try it.call(VoltageCommand.domainAttributes(0)).name == SCMIName("a supply with a"))
    #expect(try it.call(VoltageCommand.domainNameGet(0)).name == SCMIName("a supply with a long name"))
    var list = try it.call(VoltageCommand.describeLevels(0, from: 0))
    #expect(!list.isRange && list.list.count == 3)
    #expect(try list.list.next(Int32.self) == -500_000)
    list = try it.call(VoltageCommand.describeLevels(1, from: 0))
    #expect(list.isRange && list.list.count == 3)
    _ = try it.call(VoltageCommand.configSet(0, VoltageMessage.on))
    #expect(try it.call(VoltageCommand.configGet(0)) == VoltageMessage.on)
    _ = try it.call(VoltageCommand.configSet(0, VoltageMessage.off))
    #expect(try it.call(VoltageCommand.configGet(0)) == VoltageMessage.off)
    _ = try it.call(VoltageCommand.levelSet(0, -500_000))
    #expect(try it.call(VoltageCommand.levelGet(0)) == -500_000)
    let pending = try it.agent.callAsynchronously(VoltageCommand.levelSetAsynchronously(1, 1_500_000))
    let delayed = try event(it)
    #expect(delayed.answers(pending))
    let reached = try delayed.delayedResponse(ResourceValue.self)
    #expect(reached.identifier == 1 && reached.value == 1_500_000)
  }
}
