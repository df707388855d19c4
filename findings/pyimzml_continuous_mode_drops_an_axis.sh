#!/usr/bin/env bash
# pyimzML 1.5.5: the writer's mode "continuous" (one m/z axis for all pixels) accepts spectra with other m/z values
# without a word and keeps the first pixel's axis. Seen: a pixel written as peaks at 100 and 250 is read back as peaks
# at 100 and 200, with its own intensities. A file that was made so shows intensities under masses that they do not have.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyimzML==1.5.5 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import numpy as np
from pyimzml.ImzMLParser import ImzMLParser
from pyimzml.ImzMLWriter import ImzMLWriter

with ImzMLWriter("a.imzML", mode="continuous") as writer:
    writer.addSpectrum(np.array([100.0, 200.0]), np.array([1.0, 2.0]), (1, 1, 1))
    writer.addSpectrum(np.array([100.0, 250.0]), np.array([3.0, 4.0]), (2, 1, 1))
masses, intensities = ImzMLParser("a.imzML").getspectrum(1)
print(masses.tolist(), intensities.tolist())
assert masses.tolist() == [100.0, 200.0] and intensities.tolist() == [3.0, 4.0]
PY
