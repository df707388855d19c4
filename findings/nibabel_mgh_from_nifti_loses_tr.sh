#!/usr/bin/env bash
# nibabel 5.4.2: `MGHImage.from_image(nifti)`, and `nibabel.save(nifti, "x.mgz")`, which does the same, drop the
# repetition time. Seen: a NIfTI series with a TR of 2.5 s becomes an MGH series with a TR of 0. FreeSurfer's tools and
# whatever filters by frequency then have no time axis. Set `header["tr"]` (milliseconds, not seconds) by hand.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import nibabel
import numpy as np

image = nibabel.Nifti1Image(np.zeros((4, 4, 4, 5), np.float32), np.eye(4))
image.header.set_xyzt_units("mm", "sec")
image.header.set_zooms((1, 1, 1, 2.5))
nibabel.save(image, "a.mgz")
zooms = [float(zoom) for zoom in nibabel.load("a.mgz").header.get_zooms()]
print(zooms)
assert [float(zoom) for zoom in image.header.get_zooms()] == [1, 1, 1, 2.5]
assert zooms == [1, 1, 1, 0]
PY
