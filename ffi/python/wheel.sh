#!/usr/bin/env bash
# Packs the Python package for this machine into ffi/python/dist.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
cargo build --profile mobile-release -p motomind-ffi
for library in "$CARGO_TARGET_DIR"/mobile-release/libmotomind_ffi.{so,dylib} "$CARGO_TARGET_DIR"/mobile-release/motomind_ffi.dll; do
  [ ! -e "$library" ] || host=$library
done
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -r ffi/python/pyproject.toml ffi/python/motomind "$stage/"
# What the border has is read from symbols, which the other build has been stripped of.
cargo build -p motomind-ffi
cargo run -q -p motomind-bindgen -- generate --library "${host/mobile-release/debug}" --language python \
  --out-dir "$stage/motomind" --no-format
cp "$host" "$stage/motomind/"
# One for every Python 3 of this platform: the library is called through ctypes.
platform=$(python3 -c 'import sysconfig; print(sysconfig.get_platform().replace("-", "_").replace(".", "_"))')
printf '[bdist_wheel]\npython_tag = py3\nplat_name = %s\n' "$platform" >"$stage/setup.cfg"
python3 -m pip wheel -q --no-deps "$stage" -w "$stage/wheel"
mkdir -p ffi/python/dist
cp "$stage"/wheel/*.whl ffi/python/dist/
ls -l ffi/python/dist
