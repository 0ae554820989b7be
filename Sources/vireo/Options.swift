// The command line.

import DeviceTypes

/// What was asked for on the command line: words, then options with or without a value.
struct Options {
  private(set) var words: [String] = []
  private var values: [String: String] = [:]

  /// Splits `arguments`; `valued` options take the next argument, or what follows `=`, as their value.
  init(_ arguments: some Sequence<String>, valued: Set<String>, flags: Set<String>) throws(Failure) {
    var rest = Array(arguments)[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("-") else {
        words.append(argument)
        continue
      }
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard valued.contains(name) || flags.contains(name) else {
        throw Failure(usage: "there is no option \(name)")
      }
      guard values[name] == nil else { throw Failure(usage: "\(name) is given twice") }
      if flags.contains(name) {
        guard parts.count == 1 else { throw Failure(usage: "\(name) takes no value") }
        values[name] = ""
      } else {
        guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
          throw Failure(usage: "\(name) needs a value")
        }
        values[name] = value
      }
    }
  }

  /// Whether the option is there.
  func has(_ name: String) -> Bool { values[name] != nil }

  /// The value of an option, if it is there.
  func value(_ name: String) -> String? { values[name] }

  /// The value of an option as a number of bytes: digits, and K, M, G or T for powers of 1024.
  func byteCount(_ name: String) throws(Failure) -> UInt64? {
    guard let text = values[name] else { return nil }
    let units: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
    let unit = text.last.flatMap { units[$0] }
    guard let number = UInt64(unit == nil ? text[...] : text.dropLast()) else {
      throw Failure(usage: "\(name) takes a number of bytes such as 4096, 64K or 10G, not \(text)")
    }
    let (product, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
    guard !overflow else { throw Failure(usage: "\(name) \(text) is too large") }
    return product
  }
}

extension Options {
  /// The value of an option as a whole number.
  func number(_ name: String, in range: ClosedRange<Int>) throws(Failure) -> Int? {
    guard let text = value(name) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw Failure(usage: "\(name) takes a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// The value of an option as the address of one network interface.
  func address(_ name: String) throws(Failure) -> MACAddress {
    let text = value(name) ?? "52:54:00:56:49:52"
    let bytes = text.split(separator: ":", omittingEmptySubsequences: false).map {
      $0.count == 2 ? UInt8($0, radix: 16) : nil
    }
    guard bytes.count == 6, !bytes.contains(nil) else {
      throw Failure(usage: "\(name) takes an address such as 52:54:00:12:34:56, not \(text)")
    }
    let b = bytes.compactMap { $0 }
    let address = MACAddress(b[0], b[1], b[2], b[3], b[4], b[5])
    guard !address.isMulticast else { throw Failure(usage: "\(name) \(text) is the address of a group") }
    return address
  }
}

/// Why the program ends.
struct Failure: Error {
  let message: String
  let status: Int32

  /// The command line cannot be followed.
  init(usage message: String) {
    self.message = message + "; try vireo --help"
    status = 2
  }

  /// What was asked for cannot be done.
  init(_ message: String) {
    self.message = message
    status = 1
  }
}
