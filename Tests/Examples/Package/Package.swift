// swift-tools-version: 6.2
import PackageDescription

// A package that uses Vireo from a checkout beside or above it.
let package = Package(
  name: "guest",
  dependencies: [.package(name: "vireo", path: "../../..")],
  targets: [
    .executableTarget(
      name: "Guest", dependencies: [.product(name: "Vireo", package: "vireo")],
      swiftSettings: [.strictMemorySafety()])
  ]
)
