// The ledger: each normative statement of virtio 1.4 chapters 2, 3, 4.2, 5.1 to 5.4, 5.17 and 6 is proved by
// a named test, or there is a reason why it does not apply.

import RepositoryFiles
import Testing

@Suite struct `The conformance ledger` {
  private func check() throws -> LedgerCheck {
    LedgerCheck(
      statements: try Repository.table("Tests/Conformance/Statements.tsv", columns: 4),
      ledger: try Repository.table("Tests/Conformance/Ledger.tsv", columns: 4),
      tests: try TestFunction.all())
  }

  @Test func `every statement has exactly one row`() throws {
    let problems = try check().rowProblems()
    let count = problems.count
    #expect(count == 0, "\(problems.joined(separator: "\n"))")
  }

  @Test func `every row names existing tests or a reason`() throws {
    let problems = try check().dispositionProblems()
    let count = problems.count
    #expect(count == 0, "\(problems.joined(separator: "\n"))")
  }

  @Test func `every tested statement has a test that is named by its clause`() throws {
    let problems = try check().clauseProblems()
    let count = problems.count
    #expect(count == 0, "\(problems.joined(separator: "\n"))")
  }

  @Test func `the list of statements is whole`() throws {
    let statements = try Repository.table("Tests/Conformance/Statements.tsv", columns: 4)
    #expect(statements.count == 757)
    #expect(Set(statements.map { $0[0] }).count == statements.count)
  }
}

@Suite struct `The ledger's rules` {
  private static let statements: [[Substring]] = [["a#1", "2.1", "driver", "MUST"]]

  private static let tests = TestFunction.found(
    in: """
      @Test func plain() {}
      @Test(arguments: [1, 2])
      func `2.1 raw name, with a comma`(_ n: Int) {}
      @Test(.disabled("later")) func skipped() {}
      // @Test func commentedOut() {}
      """, target: "T")

  @Test func `test functions are found by either kind of name`() {
    #expect(
      Self.tests == [
        TestFunction(target: "T", name: "plain", isConditional: false),
        TestFunction(target: "T", name: "2.1 raw name, with a comma", isConditional: false),
        TestFunction(target: "T", name: "skipped", isConditional: true),
      ])
  }

  @Test(
    arguments: [
      [["a#1", "2.1", "test", "T/plain"]],
      [["a#1", "2.1", "test", "T/plain | T/2.1 raw name, with a comma"]],
      [["a#1", "2.1", "not-applicable", "The feature is not offered"]],
    ] as [[[Substring]]])
  func `a good row is accepted`(_ ledger: [[Substring]]) {
    let check = LedgerCheck(statements: Self.statements, ledger: ledger, tests: Self.tests)
    #expect(check.rowProblems() + check.dispositionProblems() == [])
  }

  @Test(arguments: [
    ("T/2.1 raw name, with a comma", 0), ("T/2.1.3 within", 0), ("T/plain", 1), ("T/2.10 another", 1),
    ("T/plain | T/2.1 too", 0), ("T/3.1 wrong", 1),
  ])
  func `a test is named by its clause, one around it or one within`(_ tests: String, _ count: Int) {
    let check = LedgerCheck(
      statements: Self.statements, ledger: [["a#1", "2.1", "test", tests[...]]], tests: Self.tests)
    #expect(check.clauseProblems().count == count)
  }

  @Test(
    arguments: [
      [],
      [["a#1", "2.1", "test", "T/plain"], ["a#1", "2.1", "test", "T/plain"]],
      [["a#1", "2.1", "test", "T/plain"], ["b#1", "2.1", "test", "T/plain"]],
      [["a#1", "2.2", "test", "T/plain"]],
      [["a#1", "2.1", "test", ""]],
      [["a#1", "2.1", "test", "T/commentedOut"]],
      [["a#1", "2.1", "test", "T/skipped"]],
      [["a#1", "2.1", "test", "U/plain"]],
      [["a#1", "2.1", "not-applicable", ""]],
      [["a#1", "2.1", "planned", "T/plain"]],
    ] as [[[Substring]]])
  func `a bad ledger is one problem`(_ ledger: [[Substring]]) {
    let check = LedgerCheck(statements: Self.statements, ledger: ledger, tests: Self.tests)
    #expect((check.rowProblems() + check.dispositionProblems()).count == 1)
  }
}
