#!/usr/bin/env bash
# nibabel 5.4.2: `image.slicer` adapts what it knows of space to the step of a slice, but not the time between volumes.
# Seen: every second voxel along x doubles that zoom (1 mm to 2 mm); every second volume leaves the TR at 2.5 s, though
# volumes are 5 s apart. The time axis of CIFTI does follow: `SeriesAxis(...)[::2].step` doubles. Whoever thins out a
# series and filters it afterwards filters at the wrong frequencies.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import nibabel
import numpy as np
from nibabel.cifti2 import SeriesAxis

image = nibabel.Nifti1Image(np.zeros((4, 4, 4, 6), np.float32), np.eye(4))
image.header.set_xyzt_units("mm", "sec")
image.header.set_zooms((1, 1, 1, 2.5))
space = [float(zoom) for zoom in image.slicer[::2].header.get_zooms()]
time = [float(zoom) for zoom in image.slicer[..., ::2].header.get_zooms()]
print(space, time, SeriesAxis(0, 2.5, 6)[::2].step)
assert space == [2, 1, 1, 2.5] and time == [1, 1, 1, 2.5]
assert SeriesAxis(0, 2.5, 6)[::2].step == 5
PY
