// SCMI: asynchronous commands and their delayed responses.

import Wire

extension SCMIPlatform where Backend: ~Copyable {
  /// The most asynchronous commands of one agent that can be pending, over all protocols.
  public static var operationLimit: Int { 8 }

  /// How many asynchronous commands an agent can be told that there may be.
  mutating func operationLimit() -> UInt32 {
    call.hasChannel ? UInt32(Self.operationLimit) : 0
  }

  /// Takes a slot for an asynchronous command on a resource, which `call.operation` names from then on.
  /// NOT_SUPPORTED for an agent that cannot be sent a delayed response; BUSY when all slots are taken.
  @inline(never)
  mutating func begin(resource: Int, identifier: UInt32, isSilent: Bool = false) throws(SCMIStatus) {
    guard call.hasChannel else { throw .notSupported }
    for slot in 0..<Self.operationLimit where agents[call.agent].operations[slot].phase == .free {
      var operation = Operation()
      operation.phase = .running
      operation.isSilent = isSilent
      operation.generation = agents[call.agent].operations[slot].generation &+ 1
      operation.resource = UInt16(resource)
      operation.identifier = identifier
      operation.header = call.header
      agents[call.agent].operations[slot] = operation
      call.operation = OperationID(
        agent: UInt8(call.agent), slot: UInt8(slot), generation: operation.generation)
      return
    }
    throw .busy
  }

  /// The board took a command. An asynchronous one that is done already has its delayed response at once.
  mutating func conclude(_ progress: Progress) -> Int {
    if case .finished = progress, let operation = call.operation { finish(operation) }
    return 0
  }

  /// Gives the slot of a command back that was refused after all.
  mutating func abandon() {
    guard let operation = call.operation else { return }
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
    let agent = AgentID(UInt8(truncatingIfNeeded: agent + 1))
    switch operation.header.protocolID {
    case .clock: return completeClockRateSet(operation, agent)
    case .voltage: return completeVoltageLevelSet(operation)
    case .powercap: return completeCapSet(operation, agent)
    case .reset: completeReset(operation, agent)
    default: break
    }
    return 0
  }

  /// Writes the delayed response that has waited longest. Returns its length, or 0 when there is none.
  mutating func nextDelayedResponse(_ agent: Int) -> Int {
    guard agents[agent].finishedCount > 0 else { return 0 }
    var oldest = -1
    for slot in 0..<Self.operationLimit where agents[agent].operations[slot].phase == .finished {
      let age = agents[agent].sequence &- agents[agent].operations[slot].sequence
      if oldest < 0 || age > agents[agent].sequence &- agents[agent].operations[oldest].sequence {
        oldest = slot
      }
    }
    let operation = agents[agent].operations[oldest]
    output.store(operation.header.word | UInt32(MessageType.delayedResponse) << 8, at: 0)
    output.store(operation.status.rawValue, at: 4)
    agents[agent].operations[oldest].phase = .free
    agents[agent].finishedCount -= 1
    if operation.status != .success { return 8 }
    output.store(operation.identifier, at: 8)
    switch operation.header.protocolID {
    case .clock:
      output.store(operation.value, at: 12)
      return 20
    case .voltage, .powercap:
      output.store(UInt32(truncatingIfNeeded: operation.value), at: 12)
      return 16
    case .sensor:
      return writeDelayedReadings(operation, agent)
    default:
      return 12
    }
  }

  /// The readings of an asynchronous SENSOR_READING_GET are those of the moment in which they are sent.
  private mutating func writeDelayedReadings(_ operation: Operation, _ agent: Int) -> Int {
    take(operation.header, of: agent)
    do throws(SCMIStatus) {
      return 12 + (try writeReadings(SensorID(Int(operation.resource)), at: 12))
    } catch {
      output.store(error.rawValue, at: 4)
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
