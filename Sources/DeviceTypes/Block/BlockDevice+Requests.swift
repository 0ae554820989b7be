// virtio 1.4 §5.2.6 Device Operation, device side: what is done with a request.

public import Virtio
import Wire

/// What became of a request.
private enum BlockOutcome {
  case done(BlockStatus)
  case pending
  case busy
}

extension BlockDevice where Backend: ~Copyable {
  /// Does what is asked until the queue is empty, its budget or `byteLimit` spent, or no more can be held.
  public mutating func process(queue index: Int, _ context: inout DeviceContext) throws(DriverFault) {
    heldQueues &= ~(1 << UInt64(index))
    // §5.2.2: without MQ there is one queue.
    guard index == 0 || context.features.contains(BlockFeature.multiqueue) else {
      if try context.queues[index].next() != nil { throw .malformedRequest }
      return
    }
    let isInOrder = context.features.contains(.inOrder)
    var byteCount = usualByteCount
    usualByteCount = 0
    while true {
      if slots.isFull {
        heldQueues |= 1 << UInt64(index)
        return
      }
      guard try context.queues[index].hasAvailable() else { return }
      guard let chain = try request.take(from: &context.queues[index]) else { return }
      let slot = slots.free
      let tag = slots.tag(slot)
      let outcome =
        request.hasHeader && request.header.type == .read ? read(tag) : execute(tag, context.features)
      byteCount &+= request.workByteCount
      switch outcome {
      case .done(let status):
        if isInOrder && slots.holdsAny(of: index) {
          slots.hold(chain, at: slot, queue: index, request, result: status)
        } else {
          BlockSlots.write(status, to: request.status)
          context.queues[index].use(chain, written: request.writtenByteCount)
        }
      case .pending:
        slots.hold(chain, at: slot, queue: index, request, result: nil)
      case .busy:
        context.queues[index].giveBack(chain)
        heldQueues |= 1 << UInt64(index)
        return
      }
      if byteCount >= byteLimit { context.queues[index].spendBudget() }
    }
  }

  /// Anything but a read.
  @inline(never)
  private mutating func execute(_ tag: UInt32, _ features: Features) -> BlockOutcome {
    guard request.hasHeader else {
      request.zeroWritable()
      return .done(.inputOutputError)
    }
    if request.header.type == .getID {
      return .done(request.answer(properties.identifier.bytes) ? .ok : .inputOutputError)
    }
    if request.header.type == .getLifetime { return .done(answerLifetime(features)) }
    // No data comes back from the others; the used length covers what room there is.
    request.zeroWritable()
    do throws(BackendFault) {
      switch request.header.type {
      case .write: return try write(tag, features)
      case .flush:
        guard features.contains(BlockFeature.flush) else { return .done(.unsupported) }
        return BlockOutcome(try backend.flush(tag: tag))
      case .discard, .writeZeroes, .secureErase: return try change(tag, features)
      // §5.2.6.2: MUST be UNSUPP for requests of zoned devices, as for all that is unknown.
      default: return .done(.unsupported)
      }
    } catch {
      return .done(BlockStatus(error))
    }
  }

  @inline(__always)
  private mutating func read(_ tag: UInt32) -> BlockOutcome {
    guard request.fits(request.writableByteCount, backend.sectorCount) else {
      request.zeroWritable()
      return .done(.inputOutputError)
    }
    if request.writableByteCount == 0 { return .done(.ok) }
    do throws(BackendFault) {
      return BlockOutcome(try backend.read(at: request.header.sector, into: request.writable, tag: tag))
    } catch {
      request.zeroWritable()
      return .done(BlockStatus(error))
    }
  }

  private mutating func write(_ tag: UInt32, _ features: Features) throws(BackendFault) -> BlockOutcome {
    // §5.2.6.2: MUST be IOERR, and MUST NOT write, whether or not the driver accepted RO.
    guard !properties.isReadOnly, request.fits(request.readableByteCount, backend.sectorCount) else {
      return .done(.inputOutputError)
    }
    if request.readableByteCount == 0 { return .done(.ok) }
    return BlockOutcome(
      try backend.write(
        at: request.header.sector, from: request.readable, isDurable: mustBeDurable(features), tag: tag))
  }

  /// Discard, write zeroes and secure erase.
  private mutating func change(_ tag: UInt32, _ features: Features) throws(BackendFault) -> BlockOutcome {
    let type = request.header.type
    let feature: Features
    let limits: BlockRangeLimits
    switch type {
    case .discard: (feature, limits) = (BlockFeature.discard, configuration.discard)
    case .writeZeroes: (feature, limits) = (BlockFeature.writeZeroes, configuration.writeZeroes)
    default: (feature, limits) = (BlockFeature.secureErase, configuration.secureErase)
    }
    guard !properties.isReadOnly else { return .done(.inputOutputError) }
    guard features.contains(feature) else { return .done(.unsupported) }
    let status = request.takeRanges(limits, backend.sectorCount)
    guard status == .ok else { return .done(status) }
    let ranges = request.ranges.span.extracting(0..<request.rangeCount)
    switch type {
    case .discard: return BlockOutcome(try backend.discard(ranges, tag: tag))
    case .writeZeroes:
      return BlockOutcome(
        try backend.writeZeroes(ranges, isDurable: mustBeDurable(features), tag: tag))
    default: return BlockOutcome(try backend.secureErase(ranges, tag: tag))
    }
  }

  /// Without FLUSH on offer nothing is promised about crashes (§5.2.6.2).
  func mustBeDurable(_ features: Features) -> Bool {
    properties.canFlush && isWriteThrough(features)
  }

  private mutating func answerLifetime(_ features: Features) -> BlockStatus {
    guard features.contains(BlockFeature.lifetime) else {
      request.zeroWritable()
      return .unsupported
    }
    do throws(BackendFault) {
      // §5.2.6.2: MUST NOT send reserved values.
      let lifetime = try backend.lifetime().withoutReservedValues
      return request.answer(lifetime.bytes.bytes) ? .ok : .inputOutputError
    } catch {
      request.zeroWritable()
      return BlockStatus(error)
    }
  }
}

extension BlockOutcome {
  fileprivate init(_ progress: BlockProgress) {
    switch progress {
    case .finished: self = .done(.ok)
    case .pending: self = .pending
    case .busy: self = .busy
    }
  }
}
