#!/usr/bin/env bash
# nibabel 5.4.2: an `MGHImage` made from an array with a fourth axis of length 1 is built without complaint, but cannot
# be saved: its header has dropped the axis and then refuses the data ("Data should be shape (10, 1, 1)"). The same array
# as NIfTI saves and keeps its shape. Overlays that other code gives as [vertices, 1, 1, frames] hit this where there is
# one frame; squeeze the axis first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

data = np.zeros((10, 1, 1, 1), np.float32)
image = nibabel.MGHImage(data, np.eye(4))
try:
    nibabel.save(image, "a.mgh")
except HeaderDataError as error:
    print(type(error).__name__, error)
else:
    raise SystemExit("saved")
nibabel.save(nibabel.MGHImage(np.zeros((10, 1, 1, 2), np.float32), np.eye(4)), "b.mgh")
assert nibabel.load("b.mgh").shape == (10, 1, 1, 2)
nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), "c.nii")
assert nibabel.load("c.nii").shape == (10, 1, 1, 1)
PY
