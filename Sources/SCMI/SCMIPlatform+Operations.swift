// SCMI: asynchronous commands and their delayed responses.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// The most asynchronous commands of one agent that can be pending, over all protocols.
  public static var operationLimit: Int { 8 }

  /// How many asynchronous commands an agent can be told that there may be.
  mutating func operationLimit(_ call: Call) -> UInt32 {
    agents[call.agent].description.hasPlatformToAgentChannel ? UInt32(Self.operationLimit) : 0
  }

  /// Takes a slot for an asynchronous command. NOT_SUPPORTED for an agent that cannot be sent a delayed
  /// response; BUSY when all slots are taken.
  mutating func begin(
    _ call: Call, resource: Int, identifier: UInt32, isSilent: Bool
  ) throws(SCMIStatus) -> OperationID {
    guard agents[call.agent].description.hasPlatformToAgentChannel else { throw .notSupported }
    for slot in 0..<Self.operationLimit where agents[call.agent].operations[slot].phase == .free {
      var operation = Operation()
      operation.phase = .running
      operation.isSilent = isSilent
      operation.generation = agents[call.agent].operations[slot].generation &+ 1
      operation.resource = UInt16(resource)
      operation.identifier = identifier
      operation.header = call.header
      agents[call.agent].operations[slot] = operation
      return OperationID(
        agent: UInt8(call.agent), slot: UInt8(slot), generation: operation.generation)
    }
    throw .busy
  }

  /// Gives a slot back whose command was refused after all.
  mutating func abandon(_ operation: OperationID) {
    agents[Int(operation.agent)].operations[Int(operation.slot)].phase = .free
  }

  /// Says that a command that a backend left `.pending` has finished with `status`. The delayed response
  /// waits in `nextMessage`. Nothing happens for an operation that is not pending.
  public mutating func finish(_ operation: OperationID, _ status: SCMIStatus = .success) {
    let (agent, slot) = (Int(operation.agent), Int(operation.slot))
    guard agent < agentCount, slot < Self.operationLimit else { return }
    var entry = agents[agent].operations[slot]
    guard entry.phase == .running, entry.generation == operation.generation else { return }
    entry.status = status
    if status == .success { entry.value = complete(entry, agent) }
    if entry.isSilent {
      entry.phase = .free
      if status != .success { reportError(entry.header, status, of: AgentID(UInt8(agent + 1))) }
    } else {
      entry.phase = .finished
      entry.sequence = agents[agent].sequence
      agents[agent].sequence &+= 1
      agents[agent].finishedCount += 1
    }
    agents[agent].operations[slot] = entry
  }

  /// What a finished command changes, and the value that its delayed response reports.
  private mutating func complete(_ operation: Operation, _ agent: Int) -> UInt64 {
    switch operation.header.protocolID {
    case .clock: return completeClockRateSet(operation, agent)
    case .voltage: return completeVoltageLevelSet(operation)
    case .powercap: return completeCapSet(operation, agent)
    case .reset:
      completeReset(operation, agent)
      return 0
    default: return 0
    }
  }

  /// Writes the delayed response that has waited longest. Returns its length, or 0 when there is none or it
  /// does not fit; then it is kept.
  mutating func nextDelayedResponse(_ agent: Int, _ buffer: inout MutableRawSpan) -> Int {
    guard agents[agent].finishedCount > 0 else { return 0 }
    var oldest = -1
    for slot in 0..<Self.operationLimit where agents[agent].operations[slot].phase == .finished {
      let age = agents[agent].sequence &- agents[agent].operations[slot].sequence
      if oldest < 0 || age > agents[agent].sequence &- agents[agent].operations[oldest].sequence {
        oldest = slot
      }
    }
    let operation = agents[agent].operations[oldest]
    guard buffer.byteCount >= Self.messageByteLimit else { return 0 }
    buffer.store(operation.header.word | UInt32(MessageType.delayedResponse) << 8, at: 0)
    buffer.store(operation.status.rawValue, at: 4)
    agents[agent].operations[oldest].phase = .free
    agents[agent].finishedCount -= 1
    if operation.status != .success { return 8 }
    buffer.store(operation.identifier, at: 8)
    switch operation.header.protocolID {
    case .clock:
      buffer.store(operation.value, at: 12)
      return 20
    case .voltage, .powercap:
      buffer.store(UInt32(truncatingIfNeeded: operation.value), at: 12)
      return 16
    case .sensor:
      return writeDelayedReadings(operation, agent, &buffer)
    default:
      return 12
    }
  }

  /// The readings of an asynchronous SENSOR_READING_GET are those of the moment in which they are sent.
  private mutating func writeDelayedReadings(
    _ operation: Operation, _ agent: Int, _ buffer: inout MutableRawSpan
  ) -> Int {
    let isLegacy = agents[agent].legacyProtocols & ProtocolID.sensor.bit != 0
    do throws(SCMIStatus) {
      let sensor = SensorID(Int(operation.resource))
      return 12 + (try writeReadings(sensor, agent, isLegacy: isLegacy, &buffer, at: 12))
    } catch {
      buffer.store(error.rawValue, at: 4)
      return 8
    }
  }

  /// What the agent is owed is no longer sent. What runs on finishes silently.
  mutating func dropOperations(_ agent: Int) {
    for slot in 0..<Self.operationLimit {
      switch agents[agent].operations[slot].phase {
      case .free: break
      case .running: agents[agent].operations[slot].isSilent = true
      case .finished: agents[agent].operations[slot].phase = .free
      }
    }
    agents[agent].finishedCount = 0
  }
}
