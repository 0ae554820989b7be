// The saved state of a console device: what the driver knows about the ports. Their existence, names and
// sizes are the host's, which sets them up again before it restores.

public import Virtio

extension ConsoleDevice where Backend: ~Copyable {
  /// Gives back output that was not taken whole; what was taken of it is not offered to the backend again.
  public mutating func prepareToSave(_ context: inout DeviceContext) throws(DriverFault) -> SaveReadiness {
    for port in 0..<portCount {
      guard let buffer = ports[port].output.take() else { continue }
      let index = ConsoleQueue.transmit(port)
      guard context.queues[index].isReady else { continue }
      ports[port].takenByteCount = buffer.isStale ? .max : buffer.takenByteCount
      context.queues[index].giveBack(try context.queues[index].park(buffer.endOutput()))
      context.queues[index].needsService = true
    }
    return .ready
  }

  /// The size that the driver reads, and each port as the driver knows it.
  public func save(into state: inout StateWriter) {
    state.append(visibleSize.columns)
    state.append(visibleSize.rows)
    state.append(isDriverReady)
    state.append(UInt8(portCount))
    for port in 0..<portCount {
      state.append(ports[port].isAnnounced)
      state.append(ports[port].isReady)
      state.append(ports[port].isDriverOpen)
      state.append(ports[port].isShownOpen)
      state.append(ports[port].owed)
      state.append(ports[port].takenByteCount)
    }
  }

  /// Takes over what the driver knows, and owes it what is different now.
  public mutating func restore(from state: inout StateReader, features: Features) throws(StateFault) {
    visibleSize.columns = try state.next()
    visibleSize.rows = try state.next()
    isDriverReady = try state.nextFlag()
    guard try state.next() == UInt8(portCount) else { throw .otherDevice }
    for port in 0..<portCount {
      ports[port].isAnnounced = try state.nextFlag()
      ports[port].isReady = try state.nextFlag()
      let isDriverOpen = try state.nextFlag()
      ports[port].isShownOpen = try state.nextFlag()
      ports[port].owed = try state.next()
      ports[port].takenByteCount = try state.next()
      guard ports[port].owed & ~PortMessage.all == 0, isDriverReady || !ports[port].isAnnounced,
        ports[port].isAnnounced || !(ports[port].isReady || isDriverOpen || ports[port].isShownOpen)
      else { throw .malformed }
      setDriverOpen(isDriverOpen && ports[port].isAttached, port)
      settleDebts(port)
    }
  }

  /// Leaves of what is owed what makes sense for the port as the host has it now.
  private mutating func settleDebts(_ port: Int) {
    if !ports[port].isAnnounced {
      ports[port].owed = ports[port].isAttached && isDriverReady ? PortMessage.add : 0
    } else if !ports[port].isAttached {
      ports[port].owed = PortMessage.remove
    } else if !ports[port].owes(PortMessage.remove) {
      ports[port].owed &= ports[port].isReady ? ~PortMessage.add : 0
    }
  }
}
