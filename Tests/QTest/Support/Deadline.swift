import Glibc

/// A point in time, by the monotonic clock.
struct Deadline {
  private let second: Int

  init(seconds: Int) { second = Deadline.now + seconds }

  var hasPassed: Bool { Deadline.now >= second }

  private static var now: Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec
  }
}
