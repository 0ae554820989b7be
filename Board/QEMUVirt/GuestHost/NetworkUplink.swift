// The board's network interface behind the switch: guests' frames go out of their memory, and those that come
// in are looked at in ours.

import DeviceTree
import DeviceTypes
import Machine
import Platform
import Virtio
import Wire

/// A frame that came in and is held.
struct HeldFrame {
  let byteCount: Int
  let offload: NetworkOffload
  let pieceCount: Int
}

/// The uplink where it stays, allocated once and never freed.
@safe struct UplinkReference {
  private let place: UnsafeMutablePointer<NetworkUplink>

  init(_ uplink: consuming NetworkUplink) {
    unsafe place = UnsafeMutablePointer<NetworkUplink>.allocate(capacity: 1)
    unsafe place.initialize(to: uplink)
  }

  /// Calls `body` with the uplink, under the lock of the networks.
  @inline(__always)
  func with<Result>(_ body: (inout NetworkUplink) -> Result) -> Result { unsafe body(&place.pointee) }
}

/// The board's network interface.
struct NetworkUplink: ~Copyable {
  /// What one guest has with the hardware: by the tag of its frame, how many frames that became.
  private struct Sender {
    var left = [64 of UInt16](repeating: 0)
    var finished: UInt64 = 0
    var inFlight = 0
  }

  private static var frameCount: Int { 256 }

  let slot: HardwareSlot
  private var driver: NetworkDriver<SlotRegisters, 1>
  /// The memory for devices, which the frames that come in lie in.
  private let memory: GuestMemory
  private var senders = [4 of Sender](repeating: Sender())
  /// Of the frames that came in, what was joined to one.
  var run: NetworkCoalescer
  private var segments = [257 of DMASegment](repeating: DMASegment(deviceAddress: 0, byteCount: 0))
  /// Most frames that a guest may have with the hardware while others wait.
  private let share: Int
  private var isBroken = false
  /// Guests of which a frame was sent, a bit each.
  private var news: UInt32 = 0
  /// Frames that were sent, how many of them at the last look for progress, and when the next one is.
  private var sentCount: UInt64 = 0
  private var checkedCount: UInt64 = 0
  private var nextCheck = Deadline.after(milliseconds: 0)
  /// Frames of guests that could not be sent.
  var droppedCount: UInt64 = 0

  /// The interface in `slot`; nil, and a line that says why, when it cannot be used.
  @inline(never)
  init?(_ slot: HardwareSlot, guestCount: Int, _ arena: inout DriverArena) {
    let settings = NetworkDriverSettings(
      features: NetworkDriverSettings.simpleFeatures | NetworkFeature.hostTSO4 | NetworkFeature.hostTSO6
        | NetworkFeature.hostECN | NetworkFeature.guestChecksum | NetworkFeature.guestTSO4
        | NetworkFeature.guestTSO6 | NetworkFeature.guestECN,
      receiveBufferCount: 64, receiveBufferByteCount: 2048, transmitBufferCount: Self.frameCount,
      transmitByteCount: NetworkPacket.headCapacity, transmitSegmentCount: 8)
    let range = Layout.deviceMemory
    // Frames lie in what the driver lent of it, and devices change it at any time.
    let memory = unsafe GuestMemory(
      GuestRegion(
        address: range.base, byteCount: range.size,
        host: UnsafeMutableRawPointer(bitPattern: UInt(range.base)).unsafelyUnwrapped))
    do throws(DeviceFault) {
      guard
        var driver = try NetworkDriver<SlotRegisters, 1>(
          try slot.transport(), memory: &arena, settings: settings),
        let buffer = arena.allocateShared(byteCount: NetworkCoalescer.bufferByteCount, alignment: 64),
        let place = try? memory.range(at: buffer.deviceAddress, byteCount: UInt32(buffer.byteCount))
      else {
        Hardware.line("cannot be used: the memory for devices is too small", slot)
        return nil
      }
      // The guests have addresses of their own.
      if driver.features.contains(NetworkFeature.controlReceive), try !driver.set(.promiscuous, true) {
        Hardware.line("passes nothing but its own frames on", slot)
      }
      self.driver = driver
      run = NetworkCoalescer(buffer: place)
    } catch {
      Hardware.line("cannot be used as a network interface", error, slot)
      return nil
    }
    self.slot = slot
    self.memory = memory
    share = Self.frameCount / guestCount
  }

  /// The MTU of what is behind it, when it says so and guests can live with it.
  var mtu: UInt16? {
    driver.features.contains(NetworkFeature.mtu) && driver.mtu >= 1280 ? driver.mtu : nil
  }

  // MARK: Out

  /// Sends a frame of a guest, in as many as the hardware wants.
  mutating func transmit(
    _ packet: borrowing NetworkPacket, from guest: Int, tag: UInt32
  ) -> NetworkTransmission {
    guard !isBroken, var finishing = packet.finishing(for: driver.transmitOffloads) else {
      droppedCount &+= 1
      return .done
    }
    let count = finishing.frameCount
    guard senders[guest].inFlight == 0 || senders[guest].inFlight + count <= share else { return .busy }
    do throws(DeviceFault) {
      // Through a table a segment takes no room in the ring.
      let isIndirect = driver.features.contains(.indirectDescriptors)
      let segmentCount = count == 1 ? packet.pieceCount : isIndirect ? 0 : packet.pieceCount + count
      guard try driver.hasRoom(frameCount: count, segmentCount: segmentCount) else { return .busy }
      var frame = NetworkPacket(copying: packet)
      for _ in 0..<count {
        packet.makeNext(&frame, &finishing)
        if try submit(&frame, token: UInt32(guest) << 8 | tag) {
          senders[guest].left[Int(tag)] += 1
          senders[guest].inFlight += 1
        } else {
          droppedCount &+= 1
        }
      }
      driver.publishTransmissions()
    } catch {
      fail(error)
    }
    return senders[guest].left[Int(tag)] != 0 ? .pending : .done
  }

  private mutating func submit(
    _ frame: inout NetworkPacket, token: UInt32
  ) throws(DeviceFault) -> Bool {
    var body = frame.body
    // The first is for the head.
    var count = 1
    while let range = body.next(limit: .max) {
      if count == segments.count { return false }
      // RAM is where the processor sees it, for the hardware too; guests' RAM is one to one.
      let address = unsafe UInt64(UInt(bitPattern: range.host))
      segments[count] = DMASegment(deviceAddress: address, byteCount: range.byteCount)
      count += 1
    }
    let (byteCount, offload) = (frame.headByteCount, frame.offload)
    var all = segments.mutableSpan
    var list = all._mutatingExtracting(first: count)
    return try driver.transmit(
      head: frame.head.view(byteCount), segments: &list, offload: offload, token: token) == .accepted
  }

  /// The tag of the next frame of a guest that was sent.
  mutating func nextTransmission(of guest: Int) -> UInt32? {
    let finished = senders[guest].finished
    if finished == 0 { return nil }
    senders[guest].finished = finished & (finished &- 1)
    return UInt32(finished.trailingZeroBitCount)
  }

  /// Takes over what the hardware has sent, and asks to be told of more. Returns the guests whose frames were
  /// among that since the last call, a bit each.
  mutating func collect() -> UInt32 {
    if !isBroken {
      do throws(DeviceFault) {
        while let token = try driver.nextTransmitted() { finish(Int(token >> 8), Int(token & 0xff)) }
      } catch {
        fail(error)
      }
    }
    defer { news = 0 }
    return news
  }

  /// A frame that one of a guest's became is sent, or lost.
  private mutating func finish(_ guest: Int, _ tag: Int) {
    sentCount &+= 1
    senders[guest].inFlight -= 1
    senders[guest].left[tag] -= 1
    guard senders[guest].left[tag] == 0 else { return }
    senders[guest].finished |= 1 << UInt64(tag)
    news |= 1 << UInt32(guest)
  }

  // MARK: In

  /// Takes the next frame that came in and names its pieces; nil when there is none. `releaseFrame` follows.
  @_optimize(speed)
  mutating func holdFrame(_ pieces: inout [64 of GuestRange]) -> HeldFrame? {
    if isBroken { return nil }
    do throws(DeviceFault) {
      guard let frame = try driver.holdFrame() else { return nil }
      var count = 0
      for index in 0..<driver.heldSegmentCount {
        let segment = driver.heldSegment(index)
        if segment.byteCount == 0 { continue }
        guard let range = try? memory.range(at: segment.deviceAddress, byteCount: segment.byteCount) else {
          preconditionFailure("a frame outside the memory for devices")
        }
        pieces[count] = range
        count += 1
      }
      return HeldFrame(byteCount: frame.byteCount, offload: frame.offload, pieceCount: count)
    } catch {
      fail(error)
      return nil
    }
  }

  /// Gives the frame that is held back to the hardware.
  mutating func releaseFrame() { driver.releaseFrame() }

  // MARK: Faults

  /// Acknowledges the hardware's interrupt.
  mutating func acknowledge() {
    if isBroken { return }
    do throws(DeviceFault) { _ = try driver.acknowledgeInterrupt() } catch { fail(error) }
  }

  /// The reset of a guest begins, which may wait for its frames.
  mutating func beginWait() {
    checkedCount = sentCount
    nextCheck = .after(milliseconds: 30_000)
  }

  /// Looks every half minute of such a wait whether the hardware still sends: nothing else would end it for
  /// one that does not.
  mutating func checkProgress(of guest: Int) {
    guard !isBroken, senders[guest].inFlight != 0, nextCheck.hasPassed else { return }
    if checkedCount == sentCount { fail(.commandTimedOut) }
    beginWait()
  }

  /// The hardware broke the protocol: it is reset and used no more, and what it had is lost.
  private mutating func fail(_ fault: DeviceFault) {
    isBroken = true
    // virtio 1.4 §2.4: from a reset on it leaves the memory alone.
    slot.registers.write32(0, at: 0x070)
    Hardware.line("failed as a network interface and is not used any more", fault, slot)
    for guest in 0..<4 {
      for tag in 0..<64 {
        while senders[guest].left[tag] != 0 { finish(guest, tag) }
      }
    }
  }
}
