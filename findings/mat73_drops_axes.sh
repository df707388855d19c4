#!/usr/bin/env bash
# mat73 0.65: arrays of a MATLAB v7.3 file come back without their axes of length 1, and empty ones come back as None.
# The same variables in a v5 file keep two axes with scipy's `loadmat`. Seen: 1 x 4 and 4 x 1 both become (4,), 1 x 1
# becomes (), 0 x 3 becomes None. A group with one subject, one region or one time point thus changes shape with the
# file's version, and a row cannot be told from a column; h5py shows what is there (axes reversed).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mat73==0.65 hdf5storage==0.2.2 scipy==1.17.1 h5py==3.16.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import hdf5storage
import mat73
import numpy as np
import scipy.io

arrays = {"row": np.zeros((1, 4)), "column": np.zeros((4, 1)), "one": np.zeros((1, 1)), "none": np.zeros((0, 3))}
arrays["matrix"] = np.zeros((2, 3))
hdf5storage.savemat("new.mat", arrays, format="7.3", oned_as="column")
scipy.io.savemat("old.mat", arrays)
new, old = mat73.loadmat("new.mat"), scipy.io.loadmat("old.mat")
found = {name: (getattr(new[name], "shape", None), old[name].shape) for name in arrays}
print(found)
assert found == {
    "row": ((4,), (1, 4)),
    "column": ((4,), (4, 1)),
    "one": ((), (1, 1)),
    "none": (None, (0, 3)),
    "matrix": ((2, 3), (2, 3)),
}
PY
