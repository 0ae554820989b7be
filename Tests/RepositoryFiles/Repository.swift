import Glibc

/// The files of this source tree, for tests that read it.
public enum Repository {
  /// A file that cannot be read.
  public struct Unreadable: Error {
    /// Path relative to the root.
    public let path: String
  }

  /// Absolute path of the folder that holds `Package.swift`.
  public static let root: String = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

  /// The contents of the file at `path`, relative to the root.
  public static func text(_ path: String) throws(Unreadable) -> String {
    guard let file = unsafe fopen(root + "/" + path, "r") else { throw Unreadable(path: path) }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe fread(&chunk, 1, chunk.count, file)
      if count == 0 { break }
      bytes += chunk.prefix(count)
    }
    if unsafe ferror(file) != 0 { throw Unreadable(path: path) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The lines of the file at `path`, without their ends.
  public static func lines(_ path: String) throws(Unreadable) -> [Substring] {
    // By bytes: a line end is one, and characters are slow.
    try text(path).utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { Substring($0) }
  }

  /// The rows of a tab-separated file after its heading; every row must have `columns` columns.
  public static func table(_ path: String, columns: Int) throws(Unreadable) -> [[Substring]] {
    let rows = try text(path).split(separator: "\n").dropFirst().map {
      $0.split(separator: "\t", omittingEmptySubsequences: false)
    }
    if rows.isEmpty || rows.contains(where: { $0.count != columns }) { throw Unreadable(path: path) }
    return rows
  }

  /// Whether something exists at `path`, relative to the root.
  public static func exists(_ path: String) -> Bool {
    unsafe access(root + "/" + path, F_OK) == 0
  }

  /// Names in the folder `path`, sorted; hidden ones only if asked for. Empty if there is no such folder.
  public static func entries(_ path: String, hidden: Bool = false) -> [String] {
    guard let folder = unsafe opendir(root + "/" + path) else { return [] }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." && (hidden || !name.hasPrefix(".")) { names.append(name) }
    }
    return names.sorted()
  }

  /// Paths of the files below `folder` whose name ends in one of `suffixes`, relative to the root, sorted.
  public static func files(under folder: String, suffixes: [String]) -> [String] {
    entries(folder).flatMap { name -> [String] in
      let path = folder + "/" + name
      if suffixes.contains(where: { name.hasSuffix($0) }) { return [path] }
      return files(under: path, suffixes: suffixes)
    }
  }
}
