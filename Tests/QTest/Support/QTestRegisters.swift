public import Virtio

/// The registers of one virtio-mmio window of a QEMU machine.
///
/// A driver's register access cannot fail, so a failure of the harness is kept in `QEMU.failure`: from then
/// on reads give 0 at once, and the test's `QEMU.run` throws it.
public struct QTestRegisters: RegisterAccess {
  private let qemu: QEMU
  private let base: UInt64

  /// Window `slot` of `qemu`.
  public init(_ qemu: QEMU, slot: Int = 0) {
    self.qemu = qemu
    base = VirtioSlot.address(slot)
  }

  /// See `RegisterAccess`.
  public func read8(_ offset: Int) -> UInt8 { UInt8(truncatingIfNeeded: read(.byte, offset)) }
  /// See `RegisterAccess`.
  public func read16(_ offset: Int) -> UInt16 { UInt16(truncatingIfNeeded: read(.half, offset)) }
  /// See `RegisterAccess`.
  public func read32(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: read(.word, offset)) }
  /// See `RegisterAccess`.
  public func write8(_ value: UInt8, _ offset: Int) { write(.byte, UInt64(value), offset) }
  /// See `RegisterAccess`.
  public func write16(_ value: UInt16, _ offset: Int) { write(.half, UInt64(value), offset) }
  /// See `RegisterAccess`.
  public func write32(_ value: UInt32, _ offset: Int) { write(.word, UInt64(value), offset) }

  private func read(_ width: AccessWidth, _ offset: Int) -> UInt64 {
    guard qemu.failure == nil else { return 0 }
    do throws(QTestError) {
      return try qemu.read(width, at: base + UInt64(offset))
    } catch {
      qemu.failure = error
      return 0
    }
  }

  private func write(_ width: AccessWidth, _ value: UInt64, _ offset: Int) {
    guard qemu.failure == nil else { return }
    do throws(QTestError) {
      try qemu.write(width, value, at: base + UInt64(offset))
    } catch {
      qemu.failure = error
    }
  }
}

extension QEMU {
  /// Calls `body`, then throws what went wrong with the machine during it, if anything did.
  ///
  /// A failure of the machine explains a failure of `body`, so it is the one that is thrown.
  public func run<Result>(_ body: (QEMU) throws -> Result) throws -> Result {
    do {
      let result = try body(self)
      if let failure { throw failure }
      return result
    } catch {
      throw failure ?? error
    }
  }

  /// A wait that looks whether the machine lives and how long it took, for drivers that call one in a loop.
  /// It gives false when there is no point in going on.
  public func patience() -> () -> Bool {
    let deadline = Deadline(seconds: LineChannel.timeoutSeconds)
    return { self.failure == nil && !deadline.hasPassed }
  }

  /// Calls `condition` until it is true. Throws when that takes longer than a loaded machine can need.
  public func wait(for what: String, until condition: () throws -> Bool) throws {
    let deadline = Deadline(seconds: LineChannel.timeoutSeconds)
    while !(try condition()) {
      if let failure { throw failure }
      if deadline.hasPassed { throw QTestError.timeout(what) }
    }
  }
}
