// The walls between the targets and between the two sides.

import RepositoryFiles
import Testing

@Suite struct `The walls` {
  /// What a target below Sources may import. Everything else points downwards or outside.
  private static let imports: [String: Set<Substring>] = [
    "Wire": ["Synchronization", "_Volatile"],
    "Virtio": ["CBarrier", "Synchronization", "Wire", "_Volatile"],
    "DeviceTypes": ["Synchronization", "Virtio", "Wire"],
    "CInterface": ["CVireo", "DeviceTypes", "SCMI", "Virtio", "Wire"],
    "DeviceTree": ["CFDT", "Synchronization", "Wire"],
    "Hypervisor": [],
    "Host": ["CLinux", "DeviceTypes", "Glibc", "SCMI", "Virtio", "Wire"],
    "vireo": ["ArgumentParser", "DeviceTypes", "Glibc", "Host", "Virtio"],
    "SCMI": ["Synchronization", "Wire"],
    "SCMIVirtio": ["DeviceTypes", "SCMI", "Virtio", "Wire"],
    "Machine": ["CMachine", "DeviceTree", "Wire", "_Volatile"],
    "Randomness": ["CMbedTLS", "DeviceTypes", "Virtio", "Wire"],
  ]

  /// Files that may say `unsafe`, each use with a comment that says why it holds. A folder stands for all in
  /// it: the C interface, the machine and libfdt have pointers at their edges everywhere.
  static let mayBeUnsafe = [
    "Sources/CInterface/",
    "Sources/DeviceTree/",
    "Sources/DeviceTypes/Block/DriverDisk.swift",
    "Sources/Host/",
    "Sources/Machine/",
    "Sources/Randomness/RandomGenerator.swift",
    "Sources/SCMI/Channel/SharedArea.swift",
    "Sources/SCMIVirtio/PlatformPort.swift",
    "Sources/Virtio/Memory/DMABuffer.swift",
    "Sources/Virtio/Memory/GuestMemory.swift",
    "Sources/Virtio/Memory/GuestRange.swift",
    "Sources/Virtio/Memory/RingArea.swift",
    "Sources/Virtio/Virtqueue/SlotTable.swift",
    "Sources/Wire/ByteArray.swift",
    "Sources/Wire/Fields.swift",
    "Sources/Wire/FixedText.swift",
    "Sources/vireo/Console.swift",
  ]

  static func swiftSources(_ folder: String = "Sources") -> [String] {
    Repository.files(under: folder, suffixes: [".swift"])
  }

  @Test func `imports never point downwards`() throws {
    for path in Self.swiftSources() {
      let target = String(path.split(separator: "/")[1])
      let allowed = try #require(Self.imports[target], "\(path): give its target a line in `imports`")
      for line in SwiftCode(try Repository.text(path)).lines {
        guard let module = Self.importedModule(line) else { continue }
        #expect(allowed.contains(module), "\(path) imports \(module)")
      }
    }
  }

  @Test func `device files do not know the driver side`() throws {
    for path in Self.swiftSources("Sources/DeviceTypes") where Self.side(of: path) == .device {
      for (word, line) in SwiftCode(try Repository.text(path)).words {
        #expect(!Self.belongsToDriver(word), "\(path):\(line): \(word)")
      }
    }
  }

  @Test func `driver files do not know the device side`() throws {
    for path in Self.swiftSources("Sources/DeviceTypes") where Self.side(of: path) == .driver {
      for (word, line) in SwiftCode(try Repository.text(path)).words {
        #expect(!Self.belongsToDevice(word), "\(path):\(line): \(word)")
      }
    }
  }

  @Test func `only listed files say unsafe`() throws {
    for path in Self.swiftSources() where !Self.mayBeUnsafe.contains(where: { path.hasPrefix($0) }) {
      for (word, line) in SwiftCode(try Repository.text(path)).words {
        #expect(!["unsafe", "@unsafe", "@safe"].contains(word), "\(path):\(line)")
      }
    }
    for path in Self.mayBeUnsafe { #expect(Repository.exists(path), "\(path)") }
  }

  @Test func `what ships uses neither Foundation nor print`() throws {
    for path in Self.swiftSources("Sources") + Self.swiftSources("Board") {
      for (index, line) in SwiftCode(try Repository.text(path)).lines.enumerated() {
        #expect(Self.importedModule(line)?.hasPrefix("Foundation") != true, "\(path):\(index + 1)")
        #expect(!Self.prints(line) || path.hasPrefix("Board/"), "\(path):\(index + 1)")
      }
    }
  }

  @Test func `device types build the same everywhere`() throws {
    for path in Self.swiftSources("Sources/DeviceTypes") {
      for (word, line) in SwiftCode(try Repository.text(path)).words {
        #expect(word != "#if", "\(path):\(line)")
      }
    }
  }
}

extension `The walls` {
  enum Side { case device, driver, both }

  /// By the file's name: `BlockDevice.swift` and `BlockDevice+Requests.swift` are the device side.
  static func side(of path: String) -> Side {
    let name = path.split(separator: "/").last!.prefix { $0 != "." && $0 != "+" }
    if name.hasSuffix("Device") { return .device }
    return name.hasSuffix("Driver") ? .driver : .both
  }

  static func importedModule(_ line: String) -> Substring? {
    let words = line.split(separator: " ")
    guard let index = words.firstIndex(of: "import"), words.count > index + 1 else { return nil }
    return words[index + 1]
  }

  /// Whether `line` calls the standard library's `print`; a function of that name is something else.
  static func prints(_ line: String) -> Bool {
    let pieces = line.split(separator: "print(", omittingEmptySubsequences: false).dropLast()
    return pieces.contains { before in
      guard let last = before.last else { return true }
      return !(last.isLetter || last == "." || before.hasSuffix("func "))
    }
  }

  /// `DriverFault` is what the device side says about a driver, and so belongs to the device side.
  static func belongsToDriver(_ word: Substring) -> Bool {
    ["DriverVirtqueue", "DriverTransport", "DMABuffer"].contains { word.hasPrefix($0) }
      || (word.hasSuffix("Driver") && word.first!.isUppercase)
  }

  /// `DeviceFault` is what the driver side says about a device.
  static func belongsToDevice(_ word: Substring) -> Bool {
    ["GuestMemory", "GuestAddress", "DeviceVirtqueue", "DeviceTransport", "DescriptorChain"].contains {
      word.hasPrefix($0)
    }
      || (word.hasSuffix("Device") && word.first!.isUppercase)
  }
}

@Suite struct `The walls' rules` {
  @Test func `comments and strings are not code`() {
    let code = SwiftCode(
      """
      let a = "unsafe \\" // print" // Foundation
      /* import X
      */ let b = 1
      """)
    #expect(code.lines.map { $0.trimmed } == ["let a =", "", "let b = 1"])
  }

  @Test func `sides are told by file name and by word`() {
    #expect(`The walls`.side(of: "Sources/DeviceTypes/Block/BlockDevice.swift") == .device)
    #expect(`The walls`.side(of: "Sources/DeviceTypes/Block/BlockDriver+Requests.swift") == .driver)
    #expect(`The walls`.side(of: "Sources/DeviceTypes/Block/BlockWire.swift") == .both)
    #expect(`The walls`.belongsToDriver("DriverVirtqueue") && `The walls`.belongsToDriver("BlockDriver"))
    #expect(!`The walls`.belongsToDriver("DriverFault") && !`The walls`.belongsToDriver("readDriver"))
    #expect(`The walls`.belongsToDevice("GuestMemory") && !`The walls`.belongsToDevice("DeviceFault"))
    #expect(`The walls`.importedModule("public import Virtio") == "Virtio")
  }

  @Test func `only a call of print prints`() {
    #expect(`The walls`.prints("  print(1)") && `The walls`.prints("if a { print(1) }"))
    #expect(!`The walls`.prints("func print() {") && !`The walls`.prints("report.print()"))
  }
}

extension String {
  /// Without the spaces at both ends.
  fileprivate var trimmed: String {
    split(separator: " ").joined(separator: " ")
  }
}
