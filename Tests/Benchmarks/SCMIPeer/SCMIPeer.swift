// The SCMI platform behind the harness: four agents that all see everything, over the public API only.

import SCMI
import SystemControlBoard
import Wire

private typealias Platform = SCMIPlatform<SystemControlBoard<16>, 4, 16>

private struct SCMIPeer: ~Copyable {
  var platform: Platform
  /// Of the first agent, which is trusted.
  var channel: PlatformChannel

  init(_ area: SharedArea) {
    platform = Platform(backend: SystemControlBoard())
    channel = PlatformChannel(commands: area)
    for agent in 0..<4 {
      let agent = platform.addAgent(
        AgentDescription(name: SCMIName("agent"), isTrusted: agent == 0, systemPower: .controls))
      for kind in 0..<10 as Range<UInt8> {
        guard let kind = ResourceKind(rawValue: kind) else { continue }
        for i in 0..<16 { platform.grant(kind, i, to: agent) }
      }
    }
  }

  deinit {}
}

/// What `scmiMake` made.
@inline(__always)
private func scmiPeer(_ peer: UnsafeMutableRawPointer) -> UnsafeMutablePointer<SCMIPeer> {
  unsafe peer.assumingMemoryBound(to: SCMIPeer.self)
}

/// A platform with the channel of its first agent in the shared memory area at `area`, which outlives it.
@c(vireo_scmi_make)
public func scmiMake(_ area: UnsafeMutableRawPointer, _ byteCount: Int) -> UnsafeMutableRawPointer {
  let peer = UnsafeMutablePointer<SCMIPeer>.allocate(capacity: 1)
  // By agreement with the harness.
  unsafe peer.initialize(to: SCMIPeer(SharedArea(base: area, byteCount: byteCount)))
  return UnsafeMutableRawPointer(peer)
}

/// Handles a command of `count` words, header included, that another agent or none sends. Returns its status.
@c(vireo_scmi_send)
public func scmiSend(
  _ peer: UnsafeMutableRawPointer, _ agent: UInt8, _ words: UnsafePointer<UInt32>, _ count: Int
) -> Int32 {
  var request = ByteArray<64>()
  var reply = ByteArray<136>()
  // `count` words, by agreement with the harness, and a pointer from `scmiMake`.
  for i in 0..<count { unsafe request.store(words[i], at: 4 * i) }
  var room = reply.mutableBytes
  let length = unsafe scmiPeer(peer).pointee.platform.handle(
    request.bytes.extracting(0..<4 * count), from: AgentID(agent), into: &room)
  return length < 8 ? .min : reply.load(at: 4)
}

/// Answers the command in the shared memory area: claim, copy, check, do, reply, free. This is what is
/// counted.
@c(vireo_scmi_serve)
public func scmiServe(_ peer: UnsafeMutableRawPointer) -> Bool {
  // The pointer came from `scmiMake`.
  unsafe serve(&scmiPeer(peer).pointee)
}

@inline(__always)
private func serve(_ peer: inout SCMIPeer) -> Bool {
  peer.channel.serve(AgentID(1), &peer.platform) == .answered(wantsInterrupt: false)
}

/// Lets everything happen on the board that agents can be told of, and sends the first agent what it waits
/// for. Returns how many messages that were.
@c(vireo_scmi_events)
public func scmiEvents(_ peer: UnsafeMutableRawPointer) -> UInt32 {
  // The pointer came from `scmiMake`.
  unsafe events(&scmiPeer(peer).pointee.platform)
}

private func events(_ platform: inout Platform) -> UInt32 {
  platform.backend.value = 100
  platform.backend.power = 100
  platform.sensorUpdated(SensorID(0))
  platform.powerMeasured(PowercapDomainID(0))
  platform.levelChanged(PerformanceDomainID(0))
  platform.performanceChannelWritten(7, 0, 3, by: AgentID(2))
  platform.performanceChannelWritten(5, 0, 7, 1, by: AgentID(2))
  platform.powercapChannelWritten(5, 0, 4, by: AgentID(2))
  platform.rateChanged(ClockID(0))
  platform.powerStateChanged(PowerDomainID(0))
  platform.requestSystemPower(.shutdown, isGraceful: true, system: 0)
  var buffer = ByteArray<136>()
  var count: UInt32 = 0
  while platform.hasMessage(for: AgentID(1)) {
    var room = buffer.mutableBytes
    if platform.nextMessage(for: AgentID(1), into: &room) != 0 { count += 1 }
  }
  return count
}
