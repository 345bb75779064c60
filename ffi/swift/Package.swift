// swift-tools-version:5.9
// `xcframework.sh` builds the library and writes Sources/MotoMind/Generated; then this is a package
// like any other.
import PackageDescription

let package = Package(
    name: "MotoMind",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "MotoMind", targets: ["MotoMind"])],
    targets: [
        .binaryTarget(name: "MotoMindFFI", path: "MotoMindFFI.xcframework"),
        .target(
            name: "MotoMind",
            dependencies: ["MotoMindFFI"],
            linkerSettings: [.linkedFramework("Security"), .linkedFramework("SystemConfiguration")]
        ),
    ]
)
