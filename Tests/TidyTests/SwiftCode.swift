/// The code of one Swift file with comments and the contents of string literals left out.
struct SwiftCode {
  /// Line by line, as long as the file.
  let lines: [String]

  init(_ source: String) {
    // Bytes and not characters: the test reads every file of the tree, and everything looked for is ASCII.
    var scanner = Scanner(bytes: Array(source.utf8))
    while scanner.position < scanner.bytes.count { scanner.step() }
    scanner.endLine()
    lines = scanner.lines
  }

  /// Every identifier and keyword with its line number, from 1.
  var words: [(word: Substring, line: Int)] {
    lines.enumerated().flatMap { index, line in
      line.utf8.split { !Self.isPartOfWord($0) }.map { (Substring($0), index + 1) }
    }
  }

  private static func isPartOfWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "@"), UInt8(ascii: "#"):
      true
    default: byte >= 0x80
    }
  }

  private struct Scanner {
    enum State { case code, lineComment, blockComment, string, longString }

    let bytes: [UInt8]
    var position = 0
    var state = State.code
    var line: [UInt8] = []
    var lines: [String] = []

    mutating func endLine() {
      lines.append(String(decoding: line, as: UTF8.self))
      line.removeAll(keepingCapacity: true)
    }

    /// Whether `text` comes next; if so it is skipped.
    mutating func skips(_ text: StaticString) -> Bool {
      let count = text.utf8CodeUnitCount
      guard position + count <= bytes.count else { return false }
      let isNext = unsafe (0..<count).allSatisfy { unsafe text.utf8Start[$0] == bytes[position + $0] }
      if isNext { position += count }
      return isNext
    }

    /// Takes one byte, or one mark that changes the state.
    mutating func step() {
      if bytes[position] == UInt8(ascii: "\n") {
        if state == .lineComment { state = .code }
        position += 1
        return endLine()
      }
      switch state {
      case .code:
        if skips("//") {
          state = .lineComment
        } else if skips("/*") {
          state = .blockComment
        } else if skips("\"\"\"") {
          state = .longString
        } else if skips("\"") {
          state = .string
        } else {
          line.append(bytes[position])
          position += 1
        }
      case .lineComment: position += 1
      case .blockComment: leave("*/")
      case .longString: leave("\"\"\"")
      case .string:
        // An escaped quote ends nothing.
        if bytes[position] == UInt8(ascii: "\\") { position += 1 }
        if position < bytes.count { leave("\"", isEscaped: bytes[position - 1] == UInt8(ascii: "\\")) }
      }
    }

    private mutating func leave(_ end: StaticString, isEscaped: Bool = false) {
      if !isEscaped && skips(end) { state = .code } else { position += 1 }
    }
  }
}
