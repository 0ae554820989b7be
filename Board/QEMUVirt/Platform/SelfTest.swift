// Failures on request, to prove the exception report, by a boot option: trap=bounds, trap=abort, trap=write
// or trap=stack.

public import DeviceTree
import Machine
import Wire

/// Faults on purpose.
public enum SelfTest {
  /// Fails in the way that the options ask for; returns if they ask for none.
  public static func run(_ options: borrowing BootOptions) {
    if options.contains("trap=bounds") { readOutOfBounds() }
    if options.contains("trap=abort") { Faults.readUnmapped() }
    if options.contains("trap=write") { Faults.writeText() }
    if options.contains("trap=stack") { Faults.overflowStack() }
  }

  @inline(never) private static func readOutOfBounds() {
    let primes: InlineArray<4, UInt64> = [2, 3, 5, 7]
    // The compiler cannot know the time.
    let index = Int(Clock.ticks % 3) + 4
    Serial.put(decimal: primes[index])
  }
}
