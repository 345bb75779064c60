# Where things are. Sourced by the scripts beside it; leaves them in the project's directory.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CACHE=${MOTOMIND_CACHE:-$HOME/.cache/motomind}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

# The JavaScript glue must come from the very version that the module is linked with.
WASM_BINDGEN=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print }' Cargo.lock)
export PATH="$CACHE/wasm-bindgen-$WASM_BINDGEN/bin:$CACHE/cargo-deny/bin:$HOME/.cargo/bin:$PATH"

# PostgreSQL's own directory: Debian keeps initdb and postgres out of PATH.
pg_bin() { dirname "$({ command -v initdb || ls -v /usr/lib/postgresql/*/bin/initdb 2>/dev/null; } | tail -n 1)"; }
