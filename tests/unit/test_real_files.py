"""Files that nobody here made, out of the pinned packages: what is read is what another library reads, value by value.

Those of surfaces, DICOM and MATLAB are in `test_surface_files.py`, `test_dicom_pictures.py` and `test_matlab_files.py`;
`docs/data/real-files.md` lists all of them.
"""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from vaeforge.data.afni_file import open_afni
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.decoding import decode
from vaeforge.data.file_format import format_of
from vaeforge.data.volume_file import canonical, repetition_time, values_of

PAGE = Path(__file__).parents[2] / "docs/data/real-files.md"
VOLUMES = {  # of nibabel, with the seconds between timepoints
    "example4d+orig.HEAD": 3.0,
    "scaled+tlrc.HEAD": 0.0,
    "functional.nii": 2.0,
    "example4d.nii.gz": 2000.0,  # its header says seconds, and means thousandths
    "test.mgz": 0.002,
}
PICTURES = ("multipage.tif", "multipage_rgb.tif", "camera.png", "ihc.png", "microaneurysms.png", "retina.jpg")


def shipped(package: str, folder: str, name: str) -> Path:
    """A file that an installed package carries for its tests."""
    found = find_spec(package)
    assert found is not None and found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / folder / name
    if not path.is_file():
        pytest.skip(f"{package} {version(package)} was installed without {folder}/{name}")
    return path


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_of_nibabel(name: str) -> None:
    path = shipped("nibabel", "tests/data", name)
    known = format_of(path)
    assert known is not None and known.volume is not None
    image, expected = known.volume(path), nibabel.load(path)
    values = np.asarray(expected.dataobj)
    np.testing.assert_array_equal(values_of(image, path), values[..., 0] if values.shape[3] == 1 else values)
    np.testing.assert_allclose(image.affine, expected.affine)
    assert nibabel.aff2axcodes(canonical(image, path).affine) == ("R", "A", "S")
    if len(image.shape) == 4:
        assert repetition_time(image) == pytest.approx(VOLUMES[name])


@pytest.mark.parametrize("name", ["bad_attribute+orig.HEAD", "bad_datatype+orig.HEAD"])
def test_headers_that_nibabel_refuses_are_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(DamagedFileError, match="cannot be read as AFNI") as refused:
        open_afni(shipped("nibabel", "tests/data", name))
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_scikit_image(name: str) -> None:
    path = shipped("skimage", "data", name)
    found = decode(path)
    if path.suffix == ".tif":
        expected = tifffile.imread(path)
        expected = expected[..., None] if expected.ndim == 3 else np.moveaxis(expected, 1, -1)  # planes of colours
    else:
        with Image.open(path) as opened:
            expected = np.atleast_3d(np.asarray(opened))[None]
    np.testing.assert_array_equal(found.pixels, expected)


def test_the_page_lists_them_with_the_versions_that_are_read() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in (*VOLUMES, *PICTURES))
    for package in ("nibabel", "scikit-image", "pydicom", "scipy"):
        assert f"{package} {version(package)}" in page
