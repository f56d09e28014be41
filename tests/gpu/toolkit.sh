#!/usr/bin/env bash
# A CUDA toolkit without root: nvcc 13.0 from PyPI into target/cuda, and empty libraries to link against where there is no
# driver. Prints the environment that the build needs; `eval "$(tests/gpu/toolkit.sh)"`.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD/target/cuda
home=$root/toolkit/nvidia/cu13
if [ ! -e "$root/ok" ]; then
  mkdir -p "$root/toolkit" "$root/stubs"
  python3 -m pip --disable-pip-version-check -q install --no-deps --target "$root/toolkit" \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl 1>&2
  for soname in libcuda.so.1 libnvrtc.so.13 libcurand.so.10 libcublas.so.13 libcublasLt.so.13 libcudart.so.13; do
    cc -shared -nostdlib -Wl,-soname,$soname -o "$root/stubs/$soname" -x c /dev/null
    ln -sf "$soname" "$root/stubs/${soname%%.so*}.so"
  done
  touch "$root/ok"
fi
flags="-L native=$root/stubs -C link-arg=-Wl,--unresolved-symbols=ignore-all -C link-arg=-Wl,--push-state,--no-as-needed"
for name in cuda nvrtc curand cublas cublasLt cudart; do flags+=" -C link-arg=-l$name"; done
flags+=" -C link-arg=-Wl,--pop-state"
cat <<ENV
export CUDA_HOME='$home' CUDA_PATH='$home' CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-90}
export PATH="$home/bin:\$PATH"
export NVCC_PREPEND_FLAGS='-I$home/include -I$home/cccl/include'
export RUSTFLAGS='$flags'
ENV
