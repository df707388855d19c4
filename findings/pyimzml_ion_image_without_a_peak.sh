#!/usr/bin/env bash
# pyimzML 1.5.5: `getionimage(parser, mz, tol)` shows the first peak of each spectrum for every mass below its second one.
# Spectra with peaks at 100, 200 and 300 have none within 50 +- 0.1 or 150 +- 0.1, where one would expect zeros. Seen: the
# intensity of the peak at 100 in every pixel, at both; at 250 and 350 zeros, as it should be. Whoever makes lipid
# channels from a list of masses gets a full, plausible image of a mass that was never measured, wherever spectra begin
# near it: sum the intensities with |mz - target| <= tol by hand.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyimzML==1.5.5 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import numpy as np
from pyimzml.ImzMLParser import ImzMLParser, getionimage
from pyimzml.ImzMLWriter import ImzMLWriter

with ImzMLWriter("a.imzML", mode="processed") as writer:
    for x in (1, 2):
        writer.addSpectrum(np.array([100.0, 200.0, 300.0]), np.array([1.0, 2.0, 3.0]), (x, 1, 1))
parser = ImzMLParser("a.imzML")
found = {mz: getionimage(parser, mz, 0.1).tolist() for mz in (50, 150, 200, 250, 350)}
print(found)
assert found == {50: [[1.0, 1.0]], 150: [[1.0, 1.0]], 200: [[2.0, 2.0]], 250: [[0.0, 0.0]], 350: [[0.0, 0.0]]}
PY
