// What keeps the tree readable: line length, file length, no loose ends, and a README whose paths exist.

import RepositoryFiles
import Testing

@Suite struct Tidy {
  private static let folders = ["Sources", "Tests", "Board", "LinkerScripts", "Toolchain"]

  /// Files of this project's own making.
  private static func files() -> [String] {
    folders.flatMap {
      Repository.files(under: $0, suffixes: [".swift", ".h", ".c", ".S", ".ld", ".py", ".sh"])
    }
  }

  @Test func `no line is longer than 110 columns`() throws {
    for path in Self.files() {
      for (index, line) in try Repository.lines(path).enumerated() {
        // Counting characters is slow, and most lines are short in bytes already.
        if line.utf8.count <= 110 { continue }
        let count = line.count
        #expect(count <= 110, "\(path):\(index + 1)")
      }
    }
  }

  @Test func `no source file is longer than 400 lines, no test file than 450`() throws {
    for path in Self.files() where path.hasSuffix(".swift") {
      let count = try Repository.lines(path).count
      #expect(count <= (path.hasPrefix("Tests/") ? 450 : 400), "\(path)")
    }
  }

  @Test func `nothing is left for later`() throws {
    for path in Self.files() where path != "Tests/TidyTests/TidyTests.swift" {
      let text = try Repository.text(path)
      for mark in ["TODO", "FIXME", "XXX:", "HACK"] {
        let isLeft = text.contains(mark)
        #expect(!isLeft, "\(path) has a \(mark)")
      }
    }
  }

  @Test func `the top level holds what the design names`() {
    let allowed: Set = [
      "Package.swift", "Sources", "Tests", "Board", "LinkerScripts", "Toolchain", "README.md", "LICENSE",
      // Not committed: what SwiftPM writes of the packages that the daemon takes, which the manifest pins.
      "Package.resolved",
    ]
    #expect(Set(Repository.entries("")).isSubset(of: allowed))
  }

  @Test func `paths named in README exist`() throws {
    #expect(Repository.exists("README.md"))
    for path in Self.paths(in: try Repository.text("README.md")) {
      #expect(Repository.exists(path), "README.md names \(path)")
    }
  }

  @Test func `paths are found between backticks and in indented blocks`() {
    let found = Self.paths(
      in: """
        Run `Toolchain/test`, see `Sources/Wire/` and (Tests/Fuzz).
            Toolchain/boot drivers --check
        Any Sources of error, any `x/y`, a folder `Sources/DeviceTypes/X`.
        """)
    #expect(found == ["Toolchain/test", "Sources/Wire", "Tests/Fuzz", "Toolchain/boot"])
  }

  /// Words of `text` that start with one of the project's folders; a last part of "X" stands for any name.
  private static func paths(in text: String) -> [String] {
    text.split { !($0.isLetter || $0.isNumber || "/._-+".contains($0)) }
      .map { word in
        var path = word
        while let last = path.last, last == "/" || last == "." { path.removeLast() }
        return String(path)
      }
      .filter { path in folders.contains { path.hasPrefix($0 + "/") } && !path.hasSuffix("/X") }
  }
}
