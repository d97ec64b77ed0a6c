#!/bin/sh
# Check the launcher on a machine with an NVIDIA GPU; no network is needed. Takes about two minutes.
# Usage: sh tests/gpu/check.sh. PYTHON names an interpreter with PyTorch and the launcher's requirements.
# Exit code: 0 all passed, 1 a check failed, 77 this machine cannot run the checks.
set -u
cd "$(dirname "$0")/../.." || exit 1
python=${PYTHON:-python3}
command -v nvidia-smi >/dev/null 2>&1 || { echo "not run: this machine has no nvidia-smi" >&2; exit 77; }
"$python" -c 'import torch; raise SystemExit(not torch.cuda.is_available())' 2>/dev/null ||
    { echo "not run: $python has no PyTorch that sees a GPU" >&2; exit 77; }
"$python" -c 'import hydra, omegaconf, pathspec, rich' 2>/dev/null ||
    { echo "not run: $python cannot import hydra, omegaconf, pathspec and rich" >&2; exit 77; }
exec "$python" -m tests.gpu.check
