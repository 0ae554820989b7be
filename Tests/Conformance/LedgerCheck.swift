import RepositoryFiles

/// What is wrong with a ledger, each in one line; the rules are in this file alone.
struct LedgerCheck {
  /// Rows of Statements.tsv: id, section, side, keyword.
  let statements: [[Substring]]
  /// Rows of Ledger.tsv: id, section, disposition, tests or reason.
  let ledger: [[Substring]]
  /// The tests that exist.
  let tests: [TestFunction]

  /// Between the names of several tests.
  static let separator = " | "

  /// Every statement has one row, in the same section, and every row a statement.
  func rowProblems() -> [String] {
    let sections = Dictionary(statements.map { ($0[0], $0[1]) }, uniquingKeysWith: { first, _ in first })
    var seen: Set<Substring> = []
    var problems: [String] = []
    for row in ledger {
      if !seen.insert(row[0]).inserted { problems.append("\(row[0]): two rows") }
      guard let section = sections[row[0]] else {
        problems.append("\(row[0]): no such statement")
        continue
      }
      if section != row[1] { problems.append("\(row[0]): section \(row[1]) should be \(section)") }
    }
    for statement in statements where !seen.contains(statement[0]) {
      problems.append("§\(statement[1]) \(statement[0]): neither a test nor a reason")
    }
    return problems
  }

  /// Every row names tests that exist and always run, or gives a reason.
  func dispositionProblems() -> [String] {
    var known: [String: [TestFunction]] = [:]
    for test in tests { known[test.qualifiedName, default: []].append(test) }
    return ledger.flatMap { row -> [String] in
      switch row[2] {
      case "not-applicable":
        return Self.isReason(row[3]) ? [] : ["\(row[0]): no reason"]
      case "test":
        return row[3].split(separator: Self.separator, omittingEmptySubsequences: false).compactMap { name in
          guard let found = known[String(name)] else { return "\(row[0]): there is no test '\(name)'" }
          if found.count > 1 { return "\(row[0]): \(found.count) tests are named '\(name)'" }
          return found[0].isConditional ? "\(row[0]): '\(name)' does not always run" : nil
        }
      default:
        return ["\(row[0]): unknown disposition '\(row[2])'"]
      }
    }
  }

  /// Every statement that is tested has a test whose name starts with the statement's clause, or with one
  /// around or within it: a wrong row then stands out.
  func clauseProblems() -> [String] {
    ledger.filter { $0[2] == "test" }.compactMap { row in
      let names = row[3].split(separator: Self.separator)
      if names.contains(where: { Self.names($0, clause: row[1]) }) { return nil }
      return "\(row[0]): no test is named by §\(row[1])"
    }
  }

  private static func names(_ test: Substring, clause: Substring) -> Bool {
    let number = test.drop { $0 != "/" }.dropFirst().prefix { $0.isNumber || $0 == "." }
    guard number.contains(".") else { return false }
    return (number + ".").hasPrefix(clause + ".") || (clause + ".").hasPrefix(number + ".")
  }

  /// A reason is a sentence, not a word.
  private static func isReason(_ text: Substring) -> Bool {
    text.split(separator: " ").count >= 4
  }
}
