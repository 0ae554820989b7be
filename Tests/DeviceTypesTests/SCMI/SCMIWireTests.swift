// The parts of SCMI messages and the identifiers that virtio 1.4 §5.17 fixes, against literal values.

import Testing
import Virtio

@testable import DeviceTypes

@Suite struct SCMIWireTests {
  @Test func `features and queues have the clause's numbers`() {
    #expect(SCMIFeature.platformToAgent == .bit(0) && SCMIFeature.sharedMemory == .bit(1))
    #expect(SCMIQueue.command == 0 && SCMIQueue.event == 1)
    #expect(DeviceID.scmi.rawValue == 32)
  }

  @Test func `5.17.6.4.1 the identifiers of shared memory regions are those of the table`() {
    let ids = (0...0x200 as ClosedRange<UInt32>).filter { SCMIStatisticsRegion.isDefined($0) }
    #expect(ids == [1, 2, 3] + Array(0x80...0xff))
    #expect(!SCMIStatisticsRegion.isDefined(.max))
    #expect(SCMIStatisticsRegion.power == 1 && SCMIStatisticsRegion.performance == 2)
    #expect(SCMIStatisticsRegion.sensor == 3)
  }

  @Test(arguments: [(0x4005, false), (0x4105, false), (0x4205, true), (0x4305, false), (0xffff_fcff, false)])
  func `a delayed response is told by its type`(_ header: UInt32, _ isDelayed: Bool) {
    #expect(SCMIMessageLayout.isDelayedResponse(header) == isDelayed)
  }
}
