# Where things are. Sourced by the scripts beside it; leaves them in the project's directory.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CACHE=${MOTOMIND_CACHE:-$HOME/.cache/motomind}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

# The JavaScript glue must come from the very version that the module is linked with.
WASM_BINDGEN=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print }' Cargo.lock)
export PATH="$CACHE/wasm-bindgen-$WASM_BINDGEN/bin:$CACHE/cargo-deny/bin:$HOME/.cargo/bin:$PATH"

# PostgreSQL's own directory: Debian keeps initdb and postgres out of PATH.
# A link to initdb elsewhere is followed: the other programs lie beside the real one.
pg_bin() {
  local initdb
  initdb=$({ command -v initdb || ls -v /usr/lib/postgresql/*/bin/initdb 2>/dev/null || true; } | tail -n 1)
  dirname "$(readlink -f "$initdb" || echo "$initdb")"
}
