/// A test function found in the sources.
public struct TestFunction: Hashable, Sendable {
  /// The first folder below Tests.
  public let target: String
  /// The function's name; a raw identifier is without its backticks.
  public let name: String
  /// The test may be skipped or its failure forgiven.
  public let isConditional: Bool

  /// A test of that target and name.
  public init(target: String, name: String, isConditional: Bool) {
    self.target = target
    self.name = name
    self.isConditional = isConditional
  }

  /// How the ledger names it.
  public var qualifiedName: String { target + "/" + name }
}

extension TestFunction {
  /// Every function marked `@Test` below Tests.
  public static func all() throws -> [TestFunction] {
    try Repository.files(under: "Tests", suffixes: [".swift"]).flatMap { path in
      let target = path.split(separator: "/")[1]
      return found(in: try Repository.text(path), target: String(target))
    }
  }

  /// The functions marked `@Test` in `source`, each attribute at the start of a line; comments do not count.
  public static func found(in source: String, target: String) -> [TestFunction] {
    var found: [TestFunction] = []
    // The attribute so far, while its function is awaited.
    var attribute: String?
    for bytes in source.utf8.split(separator: UInt8(ascii: "\n")) {
      let line = Substring(bytes.drop { $0 == UInt8(ascii: " ") })
      if line.hasPrefix("@Test") {
        attribute = ""
      } else if attribute == nil || line.hasPrefix("//") {
        continue
      }
      guard let start = line.firstRange(of: "func ") else {
        attribute! += line
        continue
      }
      attribute! += line[..<start.lowerBound]
      let isConditional = [".disabled", ".enabled", "withKnownIssue"].contains { attribute!.contains($0) }
      found.append(
        TestFunction(target: target, name: name(line[start.upperBound...]), isConditional: isConditional))
      attribute = nil
    }
    return found
  }

  private static func name(_ rest: Substring) -> String {
    if rest.first == "`" { return String(rest.dropFirst().prefix { $0 != "`" }) }
    return String(rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
  }
}
