#!/usr/bin/env bash
# torch 2.13.0: `manual_seed` takes seeds of 64 bits, but on a CPU the upper 32 are thrown away: seeds that differ by
# 2**32 give the same numbers, without a word. Who packs an epoch or a rank into the upper half of a seed (seed + rank *
# 2**32) has the same noise everywhere. `initial_seed()` hands out all 64 bits. Hash seeds to 32 bits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import torch

first, second = (torch.Generator().manual_seed(seed) for seed in (1, 1 + 2**32))
print("seeds", first.initial_seed(), second.initial_seed())
assert first.initial_seed() != second.initial_seed()
numbers = [torch.randn(8, generator=one) for one in (first, second)]
print(*numbers, sep="\n")
assert torch.equal(*numbers)
PY
