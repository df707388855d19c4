#!/usr/bin/env bash
# tifffile 2026.3.3: a stack of ten frames written as ImageJ hyperstack or as OME-TIFF without naming axes is declared as
# ten channels of one frame, neither as time nor as depth. Seen: axes "CYX" from `imagej=True` and from `ome=True`; a plain
# TIFF says "QYX", unknown. A reader that believes the file's own axes turns a movie into one picture with ten channels.
# Pass `metadata={"axes": "TYX"}`, which is kept.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import numpy as np
import tifffile

movie = np.zeros((10, 32, 32), np.uint16)
kinds = {"imagej": {"imagej": True}, "ome": {"ome": True}, "plain": {}}
kinds["named"] = {"imagej": True, "metadata": {"axes": "TYX"}}
found = {}
for name, options in kinds.items():
    tifffile.imwrite(f"{name}.tif", movie, **options)
    with tifffile.TiffFile(f"{name}.tif") as file:
        found[name] = file.series[0].axes
print(found)
assert found == {"imagej": "CYX", "ome": "CYX", "plain": "QYX", "named": "TYX"}
PY
