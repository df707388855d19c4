#!/usr/bin/env bash
# pyimzML 1.5.5: the parser does not look at whether arrays are packed. `ImzMLWriter` writes them with zlib on request
# (`intensity_compression=ZlibCompression()`), and `getspectrum` of the same package then gives the packed bytes, and what
# follows them in the file, as numbers, without a warning. Seen: fifty intensities of 5 are read as numbers from 1e-38 to
# 1e20. Look for MS:1000574 (zlib compression) in the .imzML first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyimzML==1.5.5 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import numpy as np
from pyimzml.compression import ZlibCompression
from pyimzml.ImzMLParser import ImzMLParser
from pyimzml.ImzMLWriter import ImzMLWriter

with ImzMLWriter("a.imzML", mode="processed", intensity_compression=ZlibCompression()) as writer:
    for x in range(1, 9):
        writer.addSpectrum(np.linspace(100, 200, 50), np.full(50, 5.0), (x, 1, 1))
assert "MS:1000574" in open("a.imzML").read()
_, intensities = ImzMLParser("a.imzML").getspectrum(0)
print(intensities[:5].tolist())
assert len(intensities) == 50 and not (intensities == 5).any()
PY
