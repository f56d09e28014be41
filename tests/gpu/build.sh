#!/usr/bin/env bash
# Builds plimsoll with the feature `cuda`, on a machine with or without a GPU: plimsoll and the benchmarks in
# target/cuda/bin. About 20 minutes of processor time for the kernels.
set -euo pipefail
cd "$(dirname "$0")/../.."
eval "$(tests/gpu/toolkit.sh)"
# with a target named, the flags do not reach build scripts, which must run here
host=$(rustc -vV | sed -n 's/^host: //p')
build=(cargo build --release --locked --target "$host" --target-dir target/cuda/build --features cuda)
# in one go: two would build the kernels twice, with other features
"${build[@]}" -p plimsoll-agent -p plimsoll-shadow-model --bins --examples
mkdir -p target/cuda/bin
cp "target/cuda/build/$host/release/plimsoll" "target/cuda/build/$host/release/examples/"*_bench target/cuda/bin/
