#!/usr/bin/env bash
# pydicom 3.0.2: `apply_modality_lut` and `apply_rescale` leave the values of an enhanced multi-frame image as they are,
# without a warning, because they look for slope and intercept at the top of the data set only; in enhanced CT and MR
# objects they stand in the functional groups (PixelValueTransformationSequence). Seen: slope 2 and intercept -1024 give
# -1024, -1022, ... for a classic image and 0, 1, ... for an enhanced one of the same pixels. A series that mixes both
# kinds, or a threshold in Hounsfield units, is then wrong. Read the functional groups, of each frame where they differ.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_rescale
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian


def image() -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"  # enhanced CT
    made.Rows, made.Columns, made.NumberOfFrames, made.SamplesPerPixel = 2, 2, 2, 1
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.add_new("PixelData", "OW", np.arange(8, dtype=np.uint16).tobytes())
    return made


def scale() -> Dataset:
    made = Dataset()
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 2, -1024, "HU"
    return made


enhanced, classic = image(), image()
shared = Dataset()
shared.PixelValueTransformationSequence = Sequence([scale()])
enhanced.SharedFunctionalGroupsSequence = Sequence([shared])
classic.update(scale())
found = [apply_modality_lut(each.pixel_array, each).ravel().tolist() for each in (classic, enhanced)]
print(found)
assert found[0] == [-1024 + 2 * value for value in range(8)]
assert found[1] == list(range(8)) == apply_rescale(enhanced.pixel_array, enhanced).ravel().tolist()
PY
