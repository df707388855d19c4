#!/usr/bin/env bash
# tifffile 2026.3.3: frames that are written one after the other (`TiffWriter.write` in a loop, or `imwrite(append=True)`)
# are series of their own, and `imread` returns the first one alone, without a warning. Seen: three written frames are
# read back as one of shape (32, 32); with `contiguous=True` as (3, 32, 32). `imread(key=slice(None))` reads all pages.
# A movie that an acquisition loop wrote is one picture to whoever calls `imread`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import numpy as np
import tifffile

frames = [np.full((32, 32), number, np.uint16) for number in range(3)]
with tifffile.TiffWriter("loop.tif") as writer:
    for frame in frames:
        writer.write(frame)
with tifffile.TiffWriter("contiguous.tif") as writer:
    for frame in frames:
        writer.write(frame, contiguous=True)
shapes = [tifffile.imread("loop.tif").shape, tifffile.imread("contiguous.tif").shape]
shapes.append(tifffile.imread("loop.tif", key=slice(None)).shape)
print(shapes)
assert shapes == [(32, 32), (3, 32, 32), (3, 32, 32)]
PY
