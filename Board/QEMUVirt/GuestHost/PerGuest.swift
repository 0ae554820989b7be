// A thing for each guest, in one place from start to end.

/// One `Element` for each guest, allocated once and never freed.
@safe struct PerGuest<Element: ~Copyable>: ~Copyable {
  private let elements: UnsafeMutablePointer<Element>
  let count: Int

  // Below, a negative number is too large as an unsigned one.

  /// Makes the element of each guest.
  init(count: Int, _ make: (Int) -> Element) {
    self.count = count
    unsafe elements = UnsafeMutablePointer<Element>.allocate(capacity: count)
    for i in 0..<count { unsafe (elements + i).initialize(to: make(i)) }
  }

  /// Where the element of a guest stays, for those who reach one while another is being changed. Traps on one
  /// that does not exist.
  @unsafe func pointer(_ guest: Int) -> UnsafeMutablePointer<Element> {
    precondition(UInt(bitPattern: guest) < UInt(bitPattern: count), "no such guest")
    return unsafe elements + guest
  }

  /// The element of a guest. Traps on one that does not exist.
  subscript(guest: Int) -> Element {
    unsafeAddress {
      precondition(UInt(bitPattern: guest) < UInt(bitPattern: count), "no such guest")
      // Within what was allocated.
      return unsafe UnsafePointer(elements + guest)
    }
    unsafeMutableAddress {
      precondition(UInt(bitPattern: guest) < UInt(bitPattern: count), "no such guest")
      // As above; who may change `self` has all elements.
      return unsafe elements + guest
    }
  }
}
