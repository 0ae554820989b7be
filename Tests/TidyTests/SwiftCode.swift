/// The code of one Swift file with comments and the contents of string literals left out.
struct SwiftCode {
  /// Line by line, as long as the file.
  let lines: [String]

  init(_ source: String) {
    var lines: [String] = []
    var line = ""
    var state = State.code
    var rest = source[...]
    while let next = rest.first {
      if next == "\n" {
        lines.append(line)
        line = ""
        if state == .lineComment { state = .code }
        rest.removeFirst()
      } else {
        state.advance(&rest, &line)
      }
    }
    lines.append(line)
    self.lines = lines
  }

  /// Every identifier and keyword with its line number, from 1.
  var words: [(word: Substring, line: Int)] {
    lines.enumerated().flatMap { index, line in
      line.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "@" || $0 == "#") }
        .map { ($0, index + 1) }
    }
  }

  private enum State {
    case code, lineComment, blockComment, string, longString

    /// Consumes one token's worth of `rest`, appending what is code to `line`.
    mutating func advance(_ rest: inout Substring, _ line: inout String) {
      switch self {
      case .code:
        if rest.hasPrefix("//") {
          self = .lineComment
        } else if rest.hasPrefix("/*") {
          self = .blockComment
          rest.removeFirst(2)
        } else if rest.hasPrefix("\"\"\"") {
          self = .longString
          rest.removeFirst(3)
        } else if rest.first == "\"" {
          self = .string
          rest.removeFirst()
        } else {
          line.append(rest.removeFirst())
        }
      case .lineComment:
        rest.removeFirst()
      case .blockComment:
        skip(to: "*/", &rest)
      case .longString:
        skip(to: "\"\"\"", &rest)
      case .string:
        if rest.first == "\\" { rest.removeFirst() }
        skip(to: "\"", &rest)
      }
    }

    private mutating func skip(to end: String, _ rest: inout Substring) {
      if self != .string || rest.first != "\n" {
        if rest.hasPrefix(end) {
          rest.removeFirst(end.count)
          self = .code
        } else if !rest.isEmpty {
          rest.removeFirst()
        }
      }
    }
  }
}
