#!/usr/bin/env bash
# NumPy 2.4.6: `np.nanstd(x, dtype=np.float64)` of float32 values is not computed in float64, as `np.std` with the same
# arguments is: deviations from the mean are written into a copy of the input, so that they and their squares are float32.
# Seen: 6e-9 apart from float64, with and without NaN, where `np.std` is 1e-16 apart. A statistic that switches to `nanstd`
# where something is missing loses half of its digits. Convert first: `np.nanstd(x.astype(np.float64))`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np

x = np.random.default_rng(0).normal(3, 2, (1001, 2)).astype(np.float32)
exact = x.astype(np.float64).std(axis=0)
apart = {
    name: float(abs(method(x, axis=0, dtype=np.float64) / exact - 1).max())
    for name, method in (("std", np.std), ("nanstd", np.nanstd))
}
x[::3, 0] = np.nan
exact = np.nanstd(x.astype(np.float64), axis=0)
apart["nanstd with NaN"] = float(abs(np.nanstd(x, axis=0, dtype=np.float64) / exact - 1).max())
print(apart)
assert apart["std"] < 1e-14 and min(apart["nanstd"], apart["nanstd with NaN"]) > 1e-10
PY
