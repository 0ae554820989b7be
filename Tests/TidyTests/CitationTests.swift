// Citations of the specification resolve: "virtio 1.4 §2.7.13 Supplying Buffers to The Device".

import RepositoryFiles
import Testing

/// The clauses of virtio 1.4, by number as printed.
struct Clauses {
  private let titles: [Substring: Substring]

  init() throws {
    let rows = try Repository.table("Tests/TidyTests/Clauses.tsv", columns: 2)
    titles = Dictionary(uniqueKeysWithValues: rows.map { ($0[0], $0[1]) })
  }

  /// What is wrong with the citations in `line`. A title has to follow only where it starts in capitals after
  /// "virtio 1.4 §n "; a bare "§n" needs a number that exists.
  func problems(_ line: Substring) -> [String] {
    line.split(separator: "§", omittingEmptySubsequences: false).dropFirst().enumerated().compactMap {
      index, text in
      let number = text.prefix { $0.isNumber || $0 == "." }.trimmingSuffix(".")
      if number.isEmpty { return nil }
      guard let title = titles[number] else { return "there is no §\(number)" }
      let before = line.split(separator: "§", omittingEmptySubsequences: false)[index]
      let after = text.dropFirst(number.count)
      guard before.hasSuffix("virtio 1.4 "), after.hasPrefix(" "),
        after.dropFirst().first?.isUppercase == true
      else { return nil }
      return after.dropFirst().hasPrefix(title) ? nil : "§\(number) is '\(title)'"
    }
  }

  /// Whether a test named `name` starts with the number of a clause that does not exist.
  func isUnknown(testName name: String) -> Bool {
    let number = name.prefix { $0.isNumber || $0 == "." }.trimmingSuffix(".")
    return number.contains(".") && titles[number] == nil
  }
}

extension Substring {
  fileprivate func trimmingSuffix(_ character: Character) -> Substring {
    var result = self
    while result.last == character { result.removeLast() }
    return result
  }
}

@Suite struct Citations {
  @Test func `every cited clause of virtio 1_4 exists and has its title`() throws {
    let clauses = try Clauses()
    let files = ["Sources", "Tests", "Board"].flatMap {
      Repository.files(under: $0, suffixes: [".swift", ".h", ".c", ".S"])
    }
    for path in files where path != "Tests/TidyTests/CitationTests.swift" {
      for (index, line) in try Repository.lines(path).enumerated() {
        for problem in clauses.problems(line) {
          Issue.record("\(path):\(index + 1): \(problem)")
        }
      }
    }
  }

  @Test func `test names start with clauses that exist`() throws {
    let clauses = try Clauses()
    for test in try TestFunction.all() where test.target != "Conformance" {
      #expect(!clauses.isUnknown(testName: test.name), "\(test.qualifiedName)")
    }
  }

  @Test(arguments: [
    ("virtio 1.4 §2.7.13 Supplying Buffers to The Device", 0),
    ("virtio 1.4 §5.4 Entropy Device, device side.", 0),
    ("// §2.7.13.3.1: MUST use a barrier", 0),
    ("see §2.7.13 and §4.2.2.", 0),
    ("virtio 1.4 §2.7.13 Supplying Buffers", 1),
    ("§2.7.99", 1),
    ("§2.7.99 and §9.1", 2),
  ])
  func `a wrong citation is a problem`(_ line: String, _ count: Int) throws {
    #expect(try Clauses().problems(line[...]).count == count)
  }

  @Test func `a wrong clause in a test name is found`() throws {
    let clauses = try Clauses()
    #expect(!clauses.isUnknown(testName: "5.4.6.2 the device gives bytes"))
    #expect(!clauses.isUnknown(testName: "32768 descriptors"))
    #expect(clauses.isUnknown(testName: "5.4.9.2 the device gives bytes"))
  }
}
