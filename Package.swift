// swift-tools-version: 6.2
import PackageDescription

// One manifest, three builds from one source:
//   hosted    `swift build`, `swift test`: ordinary Swift, for tests, coverage and sanitizers
//   library   trait `Embedded`: a static library for Linux VMMs that needs no Swift runtime
//   image     environment `BOARD=QEMUVirt`: bare-metal AArch64 (implies `Embedded`). `SMALL` is defined: what
//             is compiled into every caller for speed elsewhere is one function. With `BOARD_LEVEL=2`, at
//             EL2, `SPLIT_DRIVERS` too: our drivers of the board's own devices know split rings only
// `Toolchain/build` wraps all three.

let board = Context.environment["BOARD"]

/// Settings of every Swift target. Strict memory safety is an error, not advice.
let hosted: [SwiftSetting] = [
  .enableExperimentalFeature("Lifetimes"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .strictMemorySafety(),
  .treatWarning("StrictMemorySafety", as: .error),
]

/// Settings of every target that is built in Embedded mode too. Not for test targets: SwiftPM looks at the
/// feature and not at its condition when it links a test bundle or an executable, which then lacks the
/// runtime's start-up code, and finds no tests or crashes.
let common: [SwiftSetting] =
  hosted + [
    .enableExperimentalFeature("Embedded", .when(traits: ["Embedded"])),
    .unsafeFlags(["-wmo"], .when(traits: ["Embedded"])),
  ] + (board == nil ? [] : [.define("SMALL")])
  + (Context.environment["BOARD_LEVEL"] == "2" ? [.define("SPLIT_DRIVERS")] : [])

/// The data path: the Embedded compiler refuses any use of the heap.
let noHeap: [SwiftSetting] = [.unsafeFlags(["-no-allocations"], .when(traits: ["Embedded"]))]

let package = Package(
  name: "vireo",
  products: [
    .library(name: "Vireo", targets: ["Wire", "Virtio", "DeviceTypes", "SCMI", "SCMIVirtio"]),
    .library(name: "vireo-c", type: .static, targets: ["CInterface"]),
  ],
  traits: [
    .trait(name: "Embedded", description: "Compile every target in Embedded Swift mode"),
    .default(enabledTraits: board == nil ? [] : ["Embedded"]),
  ],
  targets: [
    .target(name: "Wire", swiftSettings: common + noHeap),
    .target(name: "CBarrier"),
    .target(name: "Virtio", dependencies: ["CBarrier", "Wire"], swiftSettings: common + noHeap),
    .target(name: "DeviceTypes", dependencies: ["Virtio", "Wire"], swiftSettings: common + noHeap),
    // What the driver image does with the devices that needs no device: hashes, statistics, protocols.
    .target(
      name: "DriverChecks", dependencies: ["Wire"], path: "Board/QEMUVirt/Drivers/Checks",
      swiftSettings: common + noHeap),
    .target(name: "SCMI", dependencies: ["Wire"], swiftSettings: common + noHeap),
    // An SCMI platform behind SCMI devices, and an agent on an SCMI driver.
    .target(
      name: "SCMIVirtio", dependencies: ["DeviceTypes", "SCMI", "Virtio", "Wire"],
      swiftSettings: common + noHeap),
    .target(name: "Hypervisor", swiftSettings: common + noHeap),
    .target(name: "CVireo"),
    .target(
      name: "CInterface", dependencies: ["CVireo", "DeviceTypes", "SCMI", "Virtio", "Wire"],
      swiftSettings: common),
  ],
  swiftLanguageModes: [.v6]
)

if board == nil {
  package.targets += [
    .testTarget(name: "DriverChecksTests", dependencies: ["DriverChecks", "Wire"], swiftSettings: hosted),
    .target(
      name: "TestSupport", dependencies: ["DeviceTypes", "Virtio", "Wire"], path: "Tests/TestSupport",
      swiftSettings: hosted),
    .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: hosted),
    .testTarget(name: "SCMITests", dependencies: ["SCMI", "Wire"], swiftSettings: hosted),
    .testTarget(
      name: "SCMIVirtioTests",
      dependencies: ["DeviceTypes", "SCMI", "SCMIVirtio", "TestSupport", "Virtio", "Wire"],
      swiftSettings: hosted),
    .testTarget(name: "HypervisorTests", dependencies: ["Hypervisor"], swiftSettings: hosted),
    .testTarget(
      name: "VirtioTests", dependencies: ["TestSupport", "Virtio", "Wire"], swiftSettings: hosted),
    .testTarget(
      name: "DeviceTypesTests", dependencies: ["DeviceTypes", "TestSupport", "Virtio", "Wire"],
      swiftSettings: hosted),
    .target(name: "RepositoryFiles", path: "Tests/RepositoryFiles", swiftSettings: hosted),
    .testTarget(
      name: "ConformanceTests", dependencies: ["RepositoryFiles"], path: "Tests/Conformance",
      exclude: ["Ledger.tsv", "Statements.tsv"], swiftSettings: hosted),
    .testTarget(
      name: "TidyTests", dependencies: ["RepositoryFiles"], exclude: ["Clauses.tsv"], swiftSettings: hosted),
  ]
}

// Driving QEMU's device models needs QEMU: `Toolchain/test` installs it and names the program in VIREO_QEMU.
if board == nil && Context.environment["VIREO_QEMU"] != nil {
  package.targets += [
    .target(
      name: "QTestSupport", dependencies: ["Virtio", "Wire"], path: "Tests/QTest/Support",
      swiftSettings: hosted),
    .testTarget(
      name: "QTestTests", dependencies: ["DeviceTypes", "QTestSupport", "TestSupport", "Virtio", "Wire"],
      path: "Tests/QTest/Tests", swiftSettings: hosted),
  ]
}

// The vhost-user daemon needs liburing and libseccomp: `Toolchain/build daemon` and `Toolchain/test` install
// them and set VIREO_LIBURING.
if board == nil && Context.environment["VIREO_LIBURING"] != nil {
  package.products.append(.executable(name: "vireo", targets: ["vireo"]))
  package.dependencies.append(
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"))
  package.targets += [
    .target(
      name: "CLinux", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
      linkerSettings: [.linkedLibrary("uring"), .linkedLibrary("seccomp")]),
    .target(
      name: "Host", dependencies: ["CLinux", "DeviceTypes", "SCMI", "Virtio", "Wire"],
      swiftSettings: hosted),
    .executableTarget(
      name: "vireo",
      dependencies: [
        "DeviceTypes", "Host", "Virtio", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      exclude: ["vireo.1"], swiftSettings: hosted),
  ]
}

// QEMU is the front end in the tests of the daemon.
if board == nil && Context.environment["VIREO_LIBURING"] != nil && Context.environment["VIREO_QEMU"] != nil {
  package.targets.append(
    .testTarget(
      name: "HostTests",
      dependencies: [
        "CLinux", "DeviceTypes", "Host", "QTestSupport", "SCMI", "SCMIVirtio", "TestSupport", "Virtio",
        "Wire",
      ],
      swiftSettings: hosted))
}

// The reader of device trees needs libfdt: the images have their own, and `Toolchain/test` installs the
// distribution's and sets VIREO_LIBFDT to test the reader on this machine.
let libfdt = board != nil || Context.environment["VIREO_LIBFDT"] != nil
if libfdt {
  package.targets += [
    .systemLibrary(name: "CFDT"),
    .target(name: "DeviceTree", dependencies: ["CFDT", "Wire"], swiftSettings: common + noHeap),
  ]
}
if libfdt && board == nil {
  package.targets.append(
    .testTarget(name: "DeviceTreeTests", dependencies: ["DeviceTree", "Wire"], swiftSettings: hosted))
}

// Random bits come from Mbed TLS: the image at EL2 has its own, and `Toolchain/test` installs the
// distribution's and sets VIREO_MBEDTLS to test the generator on this machine.
let mbedTLS =
  board != nil
  ? Context.environment["BOARD_LEVEL"] == "2" : Context.environment["VIREO_MBEDTLS"] != nil
if mbedTLS {
  package.targets += [
    .systemLibrary(name: "CMbedTLS"),
    .target(
      name: "Randomness", dependencies: ["CMbedTLS", "DeviceTypes", "Virtio", "Wire"],
      swiftSettings: common + noHeap),
  ]
}
if mbedTLS && board == nil {
  package.targets.append(
    .testTarget(
      name: "RandomnessTests", dependencies: ["DeviceTypes", "Randomness", "TestSupport", "Virtio", "Wire"],
      swiftSettings: hosted))
}

// The images of one board. They exist only for `Toolchain/build image`, which sets BOARD, and BOARD_LEVEL=2
// for those that run at EL2: their code leaves the FP and SIMD registers to the guests.
if let board {
  let isHypervisor = Context.environment["BOARD_LEVEL"] == "2"
  let level: [CSetting] = isHypervisor ? [.define("MACHINE_EL2")] : []
  let bareMetal: [CSetting] = level + [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]
  // Swift sees the headers as C does.
  let image = common + (isHypervisor ? [.unsafeFlags(["-Xcc", "-DMACHINE_EL2"])] : [])
  package.targets += [
    .target(name: "CMachine", cSettings: bareMetal),
    .target(
      name: "Machine", dependencies: ["CMachine", "DeviceTree", "Wire"], swiftSettings: image + noHeap),
    // What all images of the board share: where its devices are, and the memory for them.
    .target(
      name: "Platform", dependencies: ["DeviceTree", "Machine", "Virtio", "Wire"],
      path: "Board/\(board)/Platform", swiftSettings: image + noHeap),
  ]
  if isHypervisor {
    package.products.append(.executable(name: "guest-host", targets: ["GuestHost"]))
    package.targets.append(
      .executableTarget(
        name: "GuestHost",
        dependencies: [
          "CMachine", "DeviceTree", "DeviceTypes", "Hypervisor", "Machine", "Platform", "Randomness", "SCMI",
          "SCMIVirtio", "Virtio",
          "Wire",
        ],
        path: "Board/\(board)/GuestHost", swiftSettings: image,
        linkerSettings: [.linkedLibrary("fdt"), .linkedLibrary("mbedcrypto")]))
    package.products.append(.executable(name: "controller", targets: ["Controller"]))
    package.targets.append(
      .executableTarget(
        name: "Controller", dependencies: ["CMachine", "DeviceTree", "Machine", "SCMI", "Wire"],
        path: "Board/\(board)/Controller", swiftSettings: image, linkerSettings: [.linkedLibrary("fdt")]))
  } else {
    package.products.append(.executable(name: "drivers", targets: ["Drivers"]))
    package.targets.append(
      .executableTarget(
        name: "Drivers",
        dependencies: [
          "DeviceTree", "DeviceTypes", "DriverChecks", "Machine", "Platform", "Virtio", "Wire",
        ],
        path: "Board/\(board)/Drivers", exclude: ["Checks"], swiftSettings: image,
        linkerSettings: [.linkedLibrary("fdt")]))
  }
}

// A board for the SCMI platform that the benchmark and the fuzz targets share.
if Context.environment["VIREO_BENCH"] != nil || Context.environment["VIREO_FUZZ"] != nil {
  package.targets.append(
    .target(
      name: "SystemControlBoard", dependencies: ["SCMI"], path: "Tests/SystemControlBoard",
      swiftSettings: common))
}

// Vireo's half of the benchmark. It exists only for `Toolchain/bench`, which sets VIREO_BENCH.
if Context.environment["VIREO_BENCH"] != nil {
  package.products.append(.library(name: "vireo-peer", type: .static, targets: ["VireoPeer", "SCMIPeer"]))
  package.products.append(.library(name: "scmi-peer", type: .static, targets: ["SCMIPeer"]))
  package.targets.append(
    .target(
      name: "VireoPeer", dependencies: ["CInterface", "Virtio", "Wire"], path: "Tests/Benchmarks/VireoPeer",
      swiftSettings: common))
  package.targets.append(
    .target(
      name: "SCMIPeer", dependencies: ["SCMI", "SystemControlBoard", "Wire"],
      path: "Tests/Benchmarks/SCMIPeer", swiftSettings: common))
}

// The fuzz targets. They exist only for `Toolchain/fuzz`, which sets VIREO_FUZZ.
if Context.environment["VIREO_FUZZ"] != nil {
  package.products.append(.library(name: "vireo-fuzz", type: .static, targets: ["FuzzTargets"]))
  package.targets.append(
    .target(
      name: "FuzzTargets", dependencies: ["DeviceTypes", "SCMI", "SystemControlBoard", "Virtio", "Wire"],
      path: "Tests/Fuzz/Targets",
      swiftSettings: common))
}
