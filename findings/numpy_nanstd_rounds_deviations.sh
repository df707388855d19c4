#!/usr/bin/env bash
# NumPy 2.4.6: `np.nanstd(x, dtype=np.float64)` of float32 values with a NaN is not computed in float64. Where nothing is
# missing `nanstd` and `std` agree to the last bit; one NaN in a column makes the deviations from the mean float32 in all of
# them (they are written into a copy of the input), and the result agrees with that of float64 to eight digits, not sixteen.
# Convert first: `np.nanstd(x.astype(np.float64))`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np

x = np.random.default_rng(0).normal(3, 2, (1001, 2)).astype(np.float32)
exact = x.astype(np.float64).std(axis=0)
whole = abs(np.nanstd(x, axis=0, dtype=np.float64) / exact - 1).max()
x[::3, 0] = np.nan
exact = np.nanstd(x.astype(np.float64), axis=0)
lacking = abs(np.nanstd(x, axis=0, dtype=np.float64) / exact - 1)
print(f"nothing missing: {whole:.1e}; one column with NaN: {lacking}")
assert whole < 1e-14 and (lacking > 1e-10).all()
PY
