/// A value that was needed is nil.
public struct Missing: Error {}

/// The value in `optional`, which cannot be copied. Throws when there is none.
public func unwrap<Value: ~Copyable>(_ optional: consuming Value?) throws -> Value {
  guard let value = optional else { throw Missing() }
  return value
}
