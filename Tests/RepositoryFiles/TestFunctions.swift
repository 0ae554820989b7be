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

  /// The functions marked `@Test` in `source`; comments do not count.
  public static func found(in source: String, target: String) -> [TestFunction] {
    var code = ""
    for line in source.split(separator: "\n", omittingEmptySubsequences: false)
    where !line.drop(while: { $0 == " " }).hasPrefix("//") {
      code += line
      code += "\n"
    }
    return code.split(separator: "@Test", omittingEmptySubsequences: false).dropFirst().compactMap { rest in
      guard let start = rest.firstRange(of: "func ") else { return nil }
      let attribute = rest[..<start.lowerBound]
      // An attribute that says "@Test" in a string or a name is not followed by a function right away.
      if attribute.contains("}") || attribute.contains(";") { return nil }
      let conditions = [".disabled", ".enabled", "withKnownIssue"]
      return TestFunction(
        target: target, name: name(rest[start.upperBound...]),
        isConditional: conditions.contains { attribute.contains($0) })
    }
  }

  private static func name(_ rest: Substring) -> String {
    if rest.first == "`" { return String(rest.dropFirst().prefix { $0 != "`" }) }
    return String(rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
  }
}
