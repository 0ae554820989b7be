// A value that several cores use, one at a time.

import CMachine

/// A value behind a lock. Cores get it in the order in which they ask.
///
/// A core keeps what it holds within `with` only, and there takes no other lock but those that protect a
/// register of the machine. Interrupts of this core are masked there already: a handler that asked for the
/// lock that it interrupted would wait for ever.
@safe public struct Locked<Value: ~Copyable> {
  private let lock: UnsafeMutablePointer<machine_lock>
  private let value: UnsafeMutablePointer<Value>

  /// Puts the value in memory where it stays. Copies of this handle are the same lock.
  public init(_ value: consuming Value) {
    unsafe lock = UnsafeMutablePointer<machine_lock>.allocate(capacity: 1)
    unsafe lock.initialize(to: machine_lock())
    unsafe self.value = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    unsafe self.value.initialize(to: value)
  }

  /// Calls `body` with the value, which no other core has meanwhile.
  @inline(__always)
  public func with<Result>(_ body: (inout Value) -> Result) -> Result {
    // Both pointers are for ever, and the lock makes the access exclusive.
    unsafe machine_lock_acquire(lock)
    let result = unsafe body(&value.pointee)
    unsafe machine_lock_release(lock)
    return result
  }
}

/// A lock around registers or static variables of the machine, of constant value so that it needs no start.
/// Nothing else is locked while one is held.
struct RegisterLock {
  private var lock = machine_lock()

  /// Waits for the lock. The caller has masked its interrupts.
  mutating func acquire() { unsafe machine_lock_acquire(&lock) }
  /// Takes the lock if it is free.
  mutating func tryAcquire() -> Bool { unsafe machine_lock_try(&lock) != 0 }
  /// Gives the lock back.
  mutating func release() { unsafe machine_lock_release(&lock) }
}
