// The state of a device behind virtio-mmio registers, as bytes: saved between two calls, restored into a new
// device of the same kind over the same guest memory. The bytes may come from anyone.

/// The first fields of every saved state.
private enum StateHeader {
  /// "VSTA" in little-endian order.
  static var magic: UInt32 { 0x4154_5356 }
  /// Counts changes of the format. A version is read as long as it can be.
  static var version: UInt16 { 1 }
}

extension MMIODeviceTransport where Device: ~Copyable, Line: ~Copyable {
  /// Writes everything that the driver can tell about the device: registers, positions in the rings, what the
  /// device type keeps. What the host configured, and guest memory, are not part of it.
  ///
  /// Buffers that the device took and has not finished go back to the ring; the device may go on afterwards,
  /// and then has work. Throws `.busy` while a request is with the backend, or a reset, queue stop or
  /// suspension waits for one: nothing was written then. A state that is saved has no such thing to remember.
  public mutating func save(into state: inout StateWriter) throws(StateFault) {
    finishResets()
    guard !isResetting, stoppingQueues == 0, !isSuspending else { throw .busy }
    switch prepareToSave() {
    case .ready: break
    case .busy: throw .busy
    case .unsupported: throw .unsupported
    }
    for i in 0..<queueCount where queues[i].isReady && queues[i].inFlight != 0 { throw .busy }
    saveRegisters(into: &state)
    for i in 0..<queueCount { saveQueue(i, into: &state) }
    device.save(into: &state)
  }

  /// Lets the device end what it can and give back the rest.
  private mutating func prepareToSave() -> SaveReadiness {
    var context = DeviceContext(queues: queues.mutableSpan, features: driverFeatures)
    var broken: DriverFault?
    var readiness = SaveReadiness.ready
    do throws(DriverFault) { readiness = try device.prepareToSave(&context) } catch { broken = error }
    let changed = context.configurationChanged
    finishCall(broken, configurationChanged: changed)
    return readiness
  }

  private func saveRegisters(into state: inout StateWriter) {
    state.append(StateHeader.magic)
    state.append(StateHeader.version)
    state.append(UInt16(queueCount))
    state.append(device.deviceID.rawValue)
    state.append(status.rawValue)
    state.append(acceptedUnknownFeature)
    state.append(isSuspended)
    state.append(owesConfigurationChange)
    state.append(interruptStatus)
    state.append(generation)
    state.append(deviceFeaturesSelect)
    state.append(driverFeaturesSelect)
    state.append(queueSelect)
    state.append(sharedMemorySelect)
    state.append(driverFeatures.low)
    state.append(driverFeatures.high)
  }

  private func saveQueue(_ i: Int, into state: inout StateWriter) {
    let isReady = queues[i].isReady
    let position = isReady ? queues[i].position : RingPosition()
    state.append(queues[i].maximumSize)
    state.append(settings[i].size)
    state.append(settings[i].addresses.descriptorArea)
    state.append(settings[i].addresses.driverArea)
    state.append(settings[i].addresses.deviceArea)
    state.append(isReady)
    state.append(position.index)
    state.append(position.wrapCounter)
  }

  /// Continues where the device stopped whose state this is.
  ///
  /// This device is of the same type, made with the same settings and at least the same features, over the
  /// same guest memory. It is reset first. When anything is wrong the fault is thrown and the device stays
  /// reset; `.busy` when that reset waits for the backend. Afterwards the interrupt line is as it was, and a
  /// live device has work: buffers that were announced to the one that was saved.
  public mutating func restore(from state: inout StateReader) throws(StateFault) {
    writeStatus(0)
    guard !isResetting else { throw .busy }
    do throws(StateFault) {
      try restoreRegisters(from: &state)
      for i in 0..<queueCount { try restoreQueue(i, from: &state) }
      try device.restore(from: &state, features: driverFeatures)
      guard state.isAtEnd else { throw .malformed }
    } catch {
      writeStatus(0)
      throw error
    }
    if isLive { pendingQueues |= readyQueues }
    if interruptStatus != 0 { line.raise(interruptStatus) }
  }

  private mutating func restoreRegisters(from state: inout StateReader) throws(StateFault) {
    guard try state.next() == StateHeader.magic else { throw .malformed }
    guard try state.next() == StateHeader.version else { throw .unknownVersion }
    guard try state.next() == UInt16(queueCount), try state.next() == device.deviceID.rawValue else {
      throw .otherDevice
    }
    status = DeviceStatus(try state.next())
    acceptedUnknownFeature = try state.nextFlag()
    isSuspended = try state.nextFlag()
    owesConfigurationChange = try state.nextFlag()
    interruptStatus = try state.next()
    generation = try state.next()
    deviceFeaturesSelect = try state.next()
    driverFeaturesSelect = try state.next()
    queueSelect = try state.next()
    sharedMemorySelect = try state.next()
    driverFeatures.low = try state.next()
    driverFeatures.high = try state.next()
    guard interruptStatus & ~(MMIOInterrupt.usedBuffer | MMIOInterrupt.configurationChange) == 0,
      statusIsPossible
    else { throw .malformed }
    if status.contains(.featuresOK) {
      guard !acceptedUnknownFeature, driverFeatures.contains(.version1) else { throw .malformed }
      guard takesDriverFeatures() else { throw .otherDevice }
    }
  }

  /// Whether the status is one that this transport gets into and saves.
  private var statusIsPossible: Bool {
    guard DeviceStatus.defined.contains(status) else { return false }
    if status.contains(.featuresOK) && !status.contains(.acknowledge | .driver) { return false }
    if status.contains(.driverOK) || isSuspended {
      guard status.contains(.featuresOK) else { return false }
    }
    // Suspending is a state of passage, which is not saved.
    guard status.contains(.suspend) == isSuspended else { return false }
    return !isSuspended || (!status.contains(.driverOK) && driverFeatures.contains(.suspend))
  }

  private mutating func restoreQueue(_ i: Int, from state: inout StateReader) throws(StateFault) {
    guard try state.next() == queues[i].maximumSize else { throw .otherDevice }
    settings[i].size = try state.next()
    settings[i].addresses.descriptorArea = try state.next()
    settings[i].addresses.driverArea = try state.next()
    settings[i].addresses.deviceArea = try state.next()
    let isReady = try state.nextFlag()
    let position = RingPosition(index: try state.next(), wrapCounter: try state.nextFlag())
    guard isReady else {
      guard position == RingPosition() else { throw .malformed }
      return
    }
    guard status.contains(.featuresOK), !status.contains(.needsReset),
      let size = UInt16(exactly: settings[i].size)
    else { throw .malformed }
    do throws(DriverFault) {
      try queues[i].makeReady(size: size, at: settings[i].addresses, features: driverFeatures)
    } catch {
      throw .malformed
    }
    readyQueues |= 1 << UInt64(i)
    try queues[i].resume(at: position)
    queues[i].isPaused = isSuspended
  }
}
