#!/usr/bin/env bash
# pydicom 3.0.2 with Pillow 13: `iter_pixels` raises "output array is read-only" for JPEG 2000 whose codestream says
# unsigned and whose header says signed (Pixel Representation 1), where `pixel_array` of the same file reads it. Seen on
# J2K_pixelrep_mismatch.dcm, one of pydicom's own test files. Reading frames one by one, as one does to bound memory,
# refuses files that reading them all at once takes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6 pillow==13.0.0
cd "$folder"
venv/bin/python -W ignore - <<'PY'
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import iter_pixels

path = get_testdata_file("J2K_pixelrep_mismatch.dcm", download=False)
whole = dcmread(path).pixel_array
assert whole.shape == (512, 512) and whole.min() == -2000
try:
    next(iter_pixels(path))
except ValueError as error:
    print(error)
    assert str(error) == "output array is read-only"
else:
    raise SystemExit("it is read")
PY
