// virtio 1.4 §4.2.2 MMIO Device Register Layout: decoding of accesses. Control registers take aligned 32-bit
// accesses only; anything else reads as zero and writes nothing.

extension MMIODeviceTransport where Device: ~Copyable, Line: ~Copyable {
  /// A read of `byteCount` (1, 2, 4 or 8) bytes at `offset` of the device's window, little-endian.
  ///
  /// Write-only, undefined and misaligned locations read as zero.
  @_optimize(speed)
  public mutating func read(at offset: Int, byteCount: Int) -> UInt64 {
    if offset >= MMIORegister.configuration {
      return readConfiguration(at: offset - MMIORegister.configuration, byteCount: byteCount)
    }
    guard offset >= 0, byteCount == 4, offset & 3 == 0 else { return 0 }
    return UInt64(readRegister(offset))
  }

  /// A write of `byteCount` (1, 2, 4 or 8) bytes at `offset` of the device's window, little-endian.
  ///
  /// Read-only, undefined and misaligned locations ignore it. A QueueNotify serves the queue before it
  /// returns, within its budget, unless `defersNotifications`.
  @_optimize(speed)
  public mutating func write(_ value: UInt64, at offset: Int, byteCount: Int) {
    if offset >= MMIORegister.configuration {
      return writeConfiguration(value, at: offset - MMIORegister.configuration, byteCount: byteCount)
    }
    guard offset >= 0, byteCount == 4, offset & 3 == 0 else { return }
    writeRegister(UInt32(truncatingIfNeeded: value), offset)
  }

  /// An available buffer notification that came by another way than the register, such as an eventfd.
  /// Ignored for a queue that does not exist.
  public mutating func availableBuffer(queue index: Int) {
    guard index >= 0, index < queueCount, isLive, queues[index].isReady else { return }
    let bit: UInt64 = 1 << UInt64(index)
    if defersNotifications {
      pendingQueues |= bit
    } else {
      pendingQueues &= ~bit
      if device.processUsual(queue: index, &queues[index], driverFeatures) {
        finishUsual(index)
      } else {
        serve(queue: index)
      }
    }
  }

  /// After a call in which nothing happened but to queue `index`, which has published what it used.
  @inline(__always)
  private mutating func finishUsual(_ index: Int) {
    if queues[index].needsService {
      queues[index].needsService = false
      pendingQueues |= 1 << UInt64(index)
    }
    if queues[index].notificationIsDue {
      queues[index].notificationIsDue = false
      raise(MMIOInterrupt.usedBuffer)
    }
  }

  /// Apart from the others is what is read for every interrupt: they need a frame of the size of the device.
  @_optimize(speed)
  private mutating func readRegister(_ offset: Int) -> UInt32 {
    switch offset {
    case MMIORegister.magicValue: MMIORegister.magic
    case MMIORegister.version: 2
    case MMIORegister.interruptStatus: interruptStatus
    default: readOtherRegister(offset)
    }
  }

  @inline(never)
  private mutating func readOtherRegister(_ offset: Int) -> UInt32 {
    switch offset {
    case MMIORegister.deviceID: return device.deviceID.rawValue
    case MMIORegister.vendorID: return 0x4f52_4956  // "VIRO"
    case MMIORegister.deviceFeatures: return offeredFeatures.word(deviceFeaturesSelect)
    case MMIORegister.queueSizeMax: return selectedQueue.map { UInt32(queues[$0].maximumSize) } ?? 0
    case MMIORegister.queueReady:
      finishResets()
      guard let i = selectedQueue else { return 0 }
      return queues[i].isReady || stoppingQueues & (1 << UInt64(i)) != 0 ? 1 : 0
    case MMIORegister.status:
      finishResets()
      return UInt32(status.rawValue)
    case MMIORegister.sharedMemoryLengthLow...MMIORegister.sharedMemoryBaseHigh:
      return readSharedMemory(offset)
    case MMIORegister.queueReset:
      finishResets()
      guard let i = selectedQueue else { return 0 }
      return resettingQueues & (1 << UInt64(i)) != 0 ? 1 : 0
    case MMIORegister.configurationGeneration: return generation
    default: return 0
    }
  }

  @_optimize(speed)
  private mutating func writeRegister(_ value: UInt32, _ offset: Int) {
    switch offset {
    case MMIORegister.queueSelect: queueSelect = value
    case MMIORegister.queueNotify: notify(value)
    case MMIORegister.interruptAcknowledge: acknowledge(value)
    default: writeOtherRegister(value, offset)
    }
  }

  /// Apart from the others for the same reason as in `readRegister`.
  @inline(never)
  private mutating func notify(_ value: UInt32) {
    // §4.2.3.3: with NOTIFICATION_DATA the upper half is the ring position, which the ring tells as well.
    let hasData = driverFeatures.contains(.notificationData)
    availableBuffer(queue: Int(hasData ? value & 0xffff : value))
  }

  /// What a driver writes before it goes live, and after that seldom.
  @inline(never)
  private mutating func writeOtherRegister(_ value: UInt32, _ offset: Int) {
    switch offset {
    case MMIORegister.deviceFeaturesSelect: deviceFeaturesSelect = value
    case MMIORegister.driverFeaturesSelect: driverFeaturesSelect = value
    case MMIORegister.driverFeatures:
      // §3.1.1 step 5: nothing new after FEATURES_OK.
      if status.contains(.featuresOK) { return }
      if !driverFeatures.setWord(driverFeaturesSelect, value) { acceptedUnknownFeature = true }
    case MMIORegister.status: writeStatus(value)
    case MMIORegister.sharedMemorySelect: sharedMemorySelect = value
    case MMIORegister.queueReady: writeQueueReady(value)
    case MMIORegister.queueReset: writeQueueReset(value)
    case MMIORegister.queueSize...MMIORegister.queueDeviceHigh: writeQueueSetting(value, offset)
    default: break
    }
  }

  private mutating func acknowledge(_ bits: UInt32) {
    interruptStatus &= ~bits
    if interruptStatus == 0 { line.setAsserted(false) }
  }

  /// The queue that QueueSel names, when it exists.
  private var selectedQueue: Int? {
    guard queueSelect < UInt32(queueCount), queues[Int(queueSelect)].maximumSize != 0 else { return nil }
    return Int(queueSelect)
  }

  /// §4.2.2.2: the settings of a ready queue are not accessed; here they are latched and writes ignored.
  private mutating func writeQueueSetting(_ value: UInt32, _ offset: Int) {
    guard let i = selectedQueue, !queues[i].isReady, !isResetting else { return }
    settings[i].write(value, offset)
  }

  private mutating func writeQueueReady(_ value: UInt32) {
    guard let i = selectedQueue, !isResetting else { return }
    if value == 0 {
      if queues[i].isReady { stopQueue(i) }
    } else if value == 1 {
      enableQueue(i)
    }
  }

  private mutating func enableQueue(_ i: Int) {
    // The ring format is known only once features are agreed (§3.1.1 steps 5 to 7).
    guard status.contains(.featuresOK), !status.contains(.needsReset), !queues[i].isReady,
      stoppingQueues & (1 << UInt64(i)) == 0
    else { return }
    do throws(DriverFault) {
      guard let size = UInt16(exactly: settings[i].size) else { throw .invalidQueueSize }
      try queues[i].makeReady(size: size, at: settings[i].addresses, features: driverFeatures)
      readyQueues |= 1 << UInt64(i)
      queues[i].isPaused = isSuspending
    } catch {
      fail(error)
    }
  }

  /// §4.2.2.2, §2.6.1: no more use of the queue; reads back as stopped once the backend let go of it.
  private mutating func stopQueue(_ i: Int) {
    queues[i].reset()
    readyQueues &= ~(1 << UInt64(i))
    pendingQueues &= ~(1 << UInt64(i))
    device.resetQueue(i)
    stoppingQueues |= 1 << UInt64(i)
    finishResets()
    if isSuspending { finishSuspend() }
  }

  private mutating func writeQueueReset(_ value: UInt32) {
    guard let i = selectedQueue, value == 1, driverFeatures.contains(.ringReset),
      status.contains(.driverOK), !isResetting
    else { return }
    resettingQueues |= 1 << UInt64(i)
    // §2.6.1.1.1: the default state. The driver configures the queue anew before it enables it.
    settings[i] = QueueSettings()
    stopQueue(i)
  }

  private func readSharedMemory(_ offset: Int) -> UInt32 {
    // §4.2.2: a region that does not exist has all ones for length and base.
    let region =
      device.sharedMemoryRegion(sharedMemorySelect) ?? SharedMemoryRegion(address: .max, byteCount: .max)
    switch offset {
    case MMIORegister.sharedMemoryLengthLow: return UInt32(truncatingIfNeeded: region.byteCount)
    case MMIORegister.sharedMemoryLengthHigh: return UInt32(truncatingIfNeeded: region.byteCount >> 32)
    case MMIORegister.sharedMemoryBaseLow: return UInt32(truncatingIfNeeded: region.address)
    case MMIORegister.sharedMemoryBaseHigh: return UInt32(truncatingIfNeeded: region.address >> 32)
    default: return 0
    }
  }

  private func isConfigurationAccess(at offset: Int, byteCount: Int) -> Bool {
    guard byteCount == 1 || byteCount == 2 || byteCount == 4 || byteCount == 8 else { return false }
    return offset & (byteCount - 1) == 0 && offset < device.configurationByteCount
  }

  private mutating func readConfiguration(at offset: Int, byteCount: Int) -> UInt64 {
    guard isConfigurationAccess(at: offset, byteCount: byteCount) else { return 0 }
    if byteCount == 8 {
      return readConfiguration(at: offset, byteCount: 4)
        | readConfiguration(at: offset + 4, byteCount: 4) << 32
    }
    if offset + byteCount <= device.configurationByteCount {
      return UInt64(device.loadConfiguration(at: offset, byteCount: byteCount))
    }
    // The tail of a space whose length is no multiple of the access: byte by byte, the rest is zero.
    return readConfiguration(at: offset, byteCount: byteCount / 2)
      | readConfiguration(at: offset + byteCount / 2, byteCount: byteCount / 2) << UInt64(4 * byteCount)
  }

  private mutating func writeConfiguration(_ value: UInt64, at offset: Int, byteCount: Int) {
    guard isConfigurationAccess(at: offset, byteCount: byteCount) else { return }
    if byteCount == 8 {
      writeConfiguration(value & 0xffff_ffff, at: offset, byteCount: 4)
      writeConfiguration(value >> 32, at: offset + 4, byteCount: 4)
    } else if offset + byteCount <= device.configurationByteCount {
      // §3.4.2: ignored while suspended; §3.1.1 step 4: not before FEATURES_OK.
      let isUsual = status.contains(.featuresOK) && !isSuspended && !isResetting
      guard isUsual || device.takesConfigurationWriteAtAnyTime(at: offset) else { return }
      var context = DeviceContext(queues: queues.mutableSpan, features: driverFeatures)
      device.storeConfiguration(
        UInt32(truncatingIfNeeded: value), at: offset, byteCount: byteCount, &context)
      let changed = context.configurationChanged
      if isUsual { finishCall(nil, configurationChanged: changed) }
    }
  }
}

/// What the driver wrote for one queue before it made it ready.
struct QueueSettings {
  var size: UInt32 = 0
  var addresses = QueueAddresses()

  mutating func write(_ value: UInt32, _ offset: Int) {
    switch offset {
    case MMIORegister.queueSize: size = value
    case MMIORegister.queueDescriptorLow: setLow(&addresses.descriptorArea, value)
    case MMIORegister.queueDescriptorHigh: setHigh(&addresses.descriptorArea, value)
    case MMIORegister.queueDriverLow: setLow(&addresses.driverArea, value)
    case MMIORegister.queueDriverHigh: setHigh(&addresses.driverArea, value)
    case MMIORegister.queueDeviceLow: setLow(&addresses.deviceArea, value)
    case MMIORegister.queueDeviceHigh: setHigh(&addresses.deviceArea, value)
    default: break
    }
  }
}

private func setLow(_ address: inout UInt64, _ value: UInt32) {
  address = address & 0xffff_ffff_0000_0000 | UInt64(value)
}

private func setHigh(_ address: inout UInt64, _ value: UInt32) {
  address = address & 0xffff_ffff | UInt64(value) << 32
}
