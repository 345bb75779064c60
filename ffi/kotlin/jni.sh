#!/usr/bin/env bash
# Builds what the Gradle project packs, into ffi/kotlin/build/generated.
#   ffi/kotlin/jni.sh android     arm64-v8a, armeabi-v7a, x86_64; needs an NDK (ANDROID_NDK_HOME) and cargo-ndk
#   ffi/kotlin/jni.sh desktop     this machine
set -euo pipefail
cd "$(dirname "$0")/../.."
what=${1:?android or desktop}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
to=ffi/kotlin/build/generated
mkdir -p "$to"

cargo build --profile mobile-release -p motomind-ffi
for library in "$CARGO_TARGET_DIR"/mobile-release/libmotomind_ffi.{so,dylib} "$CARGO_TARGET_DIR"/mobile-release/motomind_ffi.dll; do
  [ ! -e "$library" ] || host=$library
done
# What the border has is read from symbols, which the other build has been stripped of.
cargo build -p motomind-ffi
cargo run -q -p motomind-bindgen -- generate --library "${host/mobile-release/debug}" --language kotlin \
  --out-dir "$to/kotlin" --no-format

case $what in
  android)
    rustup target add aarch64-linux-android armv7-linux-androideabi x86_64-linux-android
    command -v cargo-ndk >/dev/null || cargo install cargo-ndk
    # Pages of 16 KiB, as Android 15 may have.
    export RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=-Wl,-z,max-page-size=16384"
    cargo ndk --platform 26 -t arm64-v8a -t armeabi-v7a -t x86_64 -o "$to/jniLibs" \
      build --profile mobile-release -p motomind-ffi
    find "$to/jniLibs" -name '*.so' -exec ls -l {} +
    ;;
  desktop)
    # The names that JNA looks for.
    case $(uname -s)-$(uname -m) in
      Linux-x86_64) name=linux-x86-64 ;;
      Linux-aarch64) name=linux-aarch64 ;;
      Darwin-arm64) name=darwin-aarch64 ;;
      Darwin-x86_64) name=darwin-x86-64 ;;
      *) name=win32-x86-64 ;;
    esac
    mkdir -p "$to/desktop/$name"
    cp "$host" "$to/desktop/$name/"
    ;;
esac
