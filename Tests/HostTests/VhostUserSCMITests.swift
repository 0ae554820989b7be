// Our SCMI agent on our driver, QEMU's vhost-user front end, and our platform in this process.

import DeviceTypes
import Glibc
import Host
import QTestSupport
import SCMI
import SCMIVirtio
import TestSupport
import Testing
import Virtio

/// Waits for the server's thread.
private struct ThreadPatience: AgentPatience {
  mutating func wait(attempt: Int) -> Bool {
    usleep(1000)
    return attempt < 60_000
  }
}

@Suite(.serialized) struct `SCMI over vhost-user` {
  @Test(arguments: [Features.none, .eventIndex, .indirectDescriptors])
  func `an agent finds the board of the table, changes it and is told of it`(_ features: Features) throws {
    let served = try ServedDevice(by: VhostUserServer<SCMIDevice<TablePlatform>, 2>.self) {
      SCMIDevice(backend: TablePlatform(try BoardTable(BoardTable.example)))
    }
    try QEMU(Machine.vhostUser("vhost-user-scmi", path: served.path)).run { qemu in
      var arena = qemu.ram.arena()
      let driver = try unwrap(
        try SCMIDriver(
          MMIODriverTransport(QTestRegisters(qemu)), memory: &arena, ringFeatures: features))
      var agent = SCMIAgent(VirtioAgentChannel(driver, patience: ThreadPatience()))
      var number = try agent.call(CommonCommand.version(.base))
      #expect(number == 0x20001)
      number = try agent.call(CommonCommand.attributes(.clock))
      #expect(number & 0xffff == 3)
      var rate = try agent.call(ClockCommand.rateGet(2))
      #expect(rate == 74_250_000)
      _ = try agent.call(ClockCommand.rateNotify(2, true))
      _ = try agent.call(ClockCommand.rateSet(2, 148_500_000))
      rate = try agent.call(ClockCommand.rateGet(2))
      #expect(rate == 148_500_000)
      var patience = ThreadPatience()
      var attempt = 0
      while true {
        if let event = try agent.nextEvent() {
          let notification = try event.notification(ClockCommand.RateNotification.self)
          #expect(notification.change.rate == 148_500_000)
          break
        }
        attempt += 1
        let goesOn = patience.wait(attempt: attempt)
        try #require(goesOn)
      }
      _ = try agent.call(ClockCommand.configSet(2, isEnabled: true))
      #expect(throws: AgentFault.status(.notFound)) { _ = try agent.call(ClockCommand.rateGet(3)) }
    }
    served.join()
  }
}
