#!/usr/bin/env bash
# Builds MotoMindFFI.xcframework and the generated Swift. Needs macOS with Xcode and rustup.
#   ffi/swift/xcframework.sh            iOS, its simulator, macOS
set -euo pipefail
cd "$(dirname "$0")/../.."
here=ffi/swift
out=${CARGO_TARGET_DIR:-target}
export CARGO_TARGET_DIR=$out IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0
targets=(aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin)

rustup target add "${targets[@]}"
for target in "${targets[@]}"; do
  cargo rustc --profile mobile-release -p motomind-ffi --lib --crate-type staticlib --target "$target"
done
# What the border has is read from symbols, which the other builds have been stripped of.
cargo build -p motomind-ffi
cargo run -q -p motomind-bindgen -- generate --library "$out/debug/libmotomind_ffi.dylib" \
  --language swift --out-dir "$out/swift" --no-format

headers=$out/swift-headers
rm -rf "$headers" && mkdir -p "$headers"
cp "$out/swift/MotoMindFFI.h" "$headers/"
cp "$out/swift/MotoMindFFI.modulemap" "$headers/module.modulemap"
mkdir -p "$here/Sources/MotoMind/Generated"
cp "$out/swift/MotoMind.swift" "$here/Sources/MotoMind/Generated/"

one() { echo "$out/$1/mobile-release/libmotomind_ffi.a"; }
mkdir -p "$out/fat"
lipo -create "$(one aarch64-apple-ios-sim)" "$(one x86_64-apple-ios)" -output "$out/fat/sim.a"
lipo -create "$(one aarch64-apple-darwin)" "$(one x86_64-apple-darwin)" -output "$out/fat/macos.a"
rm -rf "$here/MotoMindFFI.xcframework"
xcodebuild -create-xcframework \
  -library "$(one aarch64-apple-ios)" -headers "$headers" \
  -library "$out/fat/sim.a" -headers "$headers" \
  -library "$out/fat/macos.a" -headers "$headers" \
  -output "$here/MotoMindFFI.xcframework"
du -h "$here"/MotoMindFFI.xcframework/*/*.a
