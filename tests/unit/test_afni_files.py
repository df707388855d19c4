"""AFNI data sets: a header and its values beside it, as nibabel reads them; what is none is refused by name."""

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from format_files import AFNI_HEADER, VOLUME, save_afni
from vaeforge.data.afni_file import open_afni
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.volume_file import canonical, repetition_time, values_of
from vaeforge.importing.formats.series import read_series
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog


def pack(path: Path) -> None:
    path.with_suffix(".BRIK.gz").write_bytes(gzip.compress(path.with_suffix(".BRIK").read_bytes()))
    path.with_suffix(".BRIK").unlink()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("factors", [(0,) * 5, (0, 2, 0, 0.5, 1)])
def test_values_affine_and_time_are_those_that_nibabel_reads(tmp_path: Path, packed: bool, factors: Any) -> None:
    path = tmp_path / "sub-01+orig.HEAD"
    save_afni(path, AFNI_HEADER | {"BRICK_FLOAT_FACS": ("float", factors)})
    if packed:
        pack(path)
    found, expected = open_afni(path), nibabel.load(path)
    np.testing.assert_array_equal(values_of(found, path), np.asarray(expected.dataobj))
    scales = np.where(np.array(factors) == 0, 1, factors)
    np.testing.assert_allclose(values_of(found, path), VOLUME * scales, rtol=1e-6)
    np.testing.assert_allclose(found.affine, expected.affine)
    assert repetition_time(found) == pytest.approx(1.5)
    turned = canonical(found, path)
    assert (np.diag(turned.affine)[:3] > 0).all() and turned.shape == VOLUME.shape


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"TAXIS_NUMS": None}, "is a bucket of 5 sub-bricks without a time axis"),
        ({"DATASET_DIMENSIONS": ("integer", (200, 300, 200))}, "more than .* than the file can hold"),
        ({"BRICK_TYPES": ("integer", (9,) * 5)}, "cannot be read as AFNI"),
        ({"IJK_TO_DICOM_REAL": ("float", ("nan",) * 12)}, "a finite affine"),
    ],
)
def test_what_is_no_series_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = tmp_path / "a+orig.HEAD"
    save_afni(path, {name: entry for name, entry in (AFNI_HEADER | change).items() if entry})
    with pytest.raises(DamagedFileError, match=reason):
        open_afni(path)


def test_values_that_are_not_there_or_packed_otherwise_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a+orig.HEAD"
    save_afni(path)
    path.with_suffix(".BRIK").rename(path.with_suffix(".BRIK.bz2"))
    with pytest.raises(DamagedFileError, match=r"packed as \.bz2"):
        open_afni(path)
    path.with_suffix(".BRIK.bz2").unlink()
    with pytest.raises(DamagedFileError, match=r"are not beside it|cannot be read"):
        open_afni(path)


def test_a_folder_of_them_is_series_and_nothing_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save_afni(tmp_path / f"{name}+orig.HEAD")
        brick = tmp_path / f"{name}+orig.BRIK"
        brick.write_bytes((VOLUME + ord(name) * VOLUME**2).astype("<f4").tobytes(order="F"))
    log = ImportLog()
    content = read_series(tmp_path, ImportOptions(time_axis="last", dummy_scans=0), log)
    assert content.counts["subjects"] == 3 and content.counts["voxels"] == 12 and not log.quarantined
