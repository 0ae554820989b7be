import Glibc

/// A thread of its own for one side of a queue, which may wait for the other without starving other tests.
public final class PeerThread {
  private var thread = pthread_t()
  private var isJoined = false

  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts `body`.
  public init(_ body: @escaping @Sendable () -> Void) {
    let box = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
    let result = unsafe pthread_create(
      &thread, nil,
      { argument in
        // The one reference that `passRetained` made.
        unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, box)
    precondition(result == 0, "no thread")
  }

  /// The processor's time that the body has taken, in nanoseconds. Only before `join()`.
  public var processorTime: Int {
    var clock = clockid_t()
    var time = timespec()
    // The thread is there until it is joined.
    let isThere = unsafe pthread_getcpuclockid(thread, &clock) == 0 && clock_gettime(clock, &time) == 0
    precondition(isThere, "no such thread")
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }

  /// Waits until the body has returned.
  public func join() {
    if !isJoined { unsafe pthread_join(thread, nil) }
    isJoined = true
  }

  deinit { join() }
}

/// Waits until `condition`, giving way to other threads. False when that takes longer than `seconds`.
public func spin(seconds: Int, until condition: () -> Bool) -> Bool {
  var now = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &now)
  let end = now.tv_sec + seconds
  while !condition() {
    sched_yield()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    if now.tv_sec > end { return false }
  }
  return true
}
