"""DICOM as pictures: values as pydicom says, frames, nobody's name anywhere, and headers that lie."""

import io
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from dicom_files import PATIENT, described, elements, scaling, whole_file, write_dicom, write_packed
from project import command_line
from scoring import score, scores_of, untrained, write_bundle
from vaeforge.data import announced_size
from vaeforge.data.decoding import decode, pixels_in
from vaeforge.data.images import open_picture
from vaeforge.data.picture_reading import PictureReading
from vaeforge.errors import ConfigError, DataError, QuestionError
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.white_level import stated_range
from vaeforge.package.contract import CONTRACT, read_contract
from vaeforge.package.inputs import open_inputs, reading_for
from vaeforge.paths import read_json

pytestmark = pytest.mark.usefixtures("undrawn")
WHOLE = np.arange(2 * 5 * 4, dtype=np.uint16).reshape(2, 5, 4) * 90
ONE = WHOLE[:1]
UNSCALED: dict[str, Any] = {"x00281052": ("DS", "0"), "x00281053": ("DS", "1")}
GREYS = ("CT_small", "MR_small", "MR_small_RLE", "MR_small_implicit", "MR_small_bigendian", "MR_small_jpeg_ls_lossless")
GREYS += ("JPEG2000", "693_J2KI", "J2K_pixelrep_mismatch", "JPGExtended", "examples_overlay", "rtdose_1frame")
COLOURS = ("SC_ybr_full_422_uncompressed", "SC_rgb_jpeg_dcmtk", "SC_rgb_rle_16bit", "SC_rgb_small_odd", "ExplVR_BigEnd")
COLOURS += ("SC_rgb_jls_lossy_line", "examples_jpeg2k", "examples_rgb_color", "SC_jpeg_no_color_transform")


def packaged(name: str) -> Path:
    from pydicom.data import get_testdata_file

    found = get_testdata_file(f"{name}.dcm", download=False)
    assert isinstance(found, str)
    return Path(found)


def values(path: Path) -> NDArray[Any]:
    return decode(path).pixels[..., 0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", GREYS)
def test_greys_are_what_pydicom_makes_of_them(name: str) -> None:
    if name.startswith("MR_small_jpeg_ls") or name == "JPGExtended":  # pydicom has no decoder of these here
        expected = packaged("MR_small" if name.startswith("MR") else "JPEG-lossy")
        if name == "JPGExtended":
            assert values(packaged(name)).shape == (1, 1024, 256)
            return
    else:
        expected = packaged(name)
    dataset = pydicom.dcmread(expected)
    stored = dataset.pixel_array
    made = pydicom.pixels.apply_modality_lut(stored, dataset).astype(np.float64)
    if "PixelPaddingValue" in dataset:
        padded = stored == dataset.PixelPaddingValue
        made[padded] = made[~padded].min()
    np.testing.assert_array_equal(values(packaged(name))[0], made)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_what_pydicom_makes_of_them(name: str) -> None:
    dataset = pydicom.dcmread(packaged(name))
    if name.startswith("SC_rgb_jls"):
        assert decode(packaged(name)).pixels.shape == (1, 100, 100, 3)
        return
    raw = pydicom.pixels.pixel_array(dataset, raw=True)
    kind = str(dataset.PhotometricInterpretation)
    made = pydicom.pixels.convert_color_space(raw, kind, "RGB") if kind in ("YBR_FULL", "YBR_FULL_422") else raw
    found = decode(packaged(name))
    assert found.colour
    np.testing.assert_array_equal(found.pixels[0], made)


def test_a_palette_becomes_its_colours() -> None:
    dataset = pydicom.dcmread(packaged("examples_palette"))
    made = pydicom.pixels.apply_color_lut(dataset.pixel_array, dataset)
    assert made.max() == 65280
    np.testing.assert_array_equal(decode(packaged("examples_palette")).pixels[0], made >> 8)


def test_slopes_that_are_no_whole_numbers_give_floats(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", ONE, x00281052=("DS", "-1.5"), x00281053=("DS", "0.25"))
    assert values(path).dtype == np.float32
    np.testing.assert_array_equal(values(path), ONE * 0.25 - 1.5)


def test_frames_of_enhanced_files_have_scales_of_their_own(tmp_path: Path) -> None:
    """The shared one, but where a frame has another; pydicom itself leaves these values as they are."""
    shared = [{0x00289145: ("SQ", [scaling("2", "-1024")])}]
    own = [{}, {0x00289145: ("SQ", [scaling("3", "7")])}]
    path = write_dicom(tmp_path / "a.dcm", WHOLE, x52009229=("SQ", shared), x52009230=("SQ", own))
    made = WHOLE.astype(int)
    np.testing.assert_array_equal(values(path), np.stack([made[0] * 2 - 1024, made[1] * 3 + 7]))
    assert decode(path).bits is None
    short = write_dicom(tmp_path / "b.dcm", WHOLE, x52009230=("SQ", own[:1]))
    with pytest.raises(DataError, match=r"b\.dcm: tells of 1 frames one by one, holds 2"):
        decode(short)


def test_a_table_of_values_is_applied(tmp_path: Path) -> None:
    table = {0x00283002: ("US", (256, 0, 16)), 0x00283003: ("LO", "x"), 0x00283006: ("US", np.arange(256) * 3 + 5)}
    small = (ONE // 30).astype(np.uint8)
    path = write_dicom(tmp_path / "a.dcm", small, x00283000=("SQ", [table]))
    np.testing.assert_array_equal(values(path), small.astype(int) * 3 + 5)


def test_where_0_is_white_levels_are_turned_around(tmp_path: Path) -> None:
    shown = {}
    for kind in ("MONOCHROME1", "MONOCHROME2"):
        path = write_dicom(tmp_path / f"{kind}.dcm", ONE, kind, x00280101=("US", 12), x00280102=("US", 11))
        assert decode(path).bits == 12
        same = write_dicom(tmp_path / "s.dcm", ONE, kind, x00280101=("US", 12), x00280102=("US", 11), **UNSCALED)
        assert decode(same).bits == 12  # by a slope of 1
        shown[kind] = open_picture(path).astype(int)
    np.testing.assert_array_equal(shown["MONOCHROME1"], 255 - shown["MONOCHROME2"])
    assert shown["MONOCHROME2"].max() == round(ONE.max() / 4095 * 255)


def test_windows_are_not_applied_and_padding_is_as_dark_as_the_darkest(tmp_path: Path) -> None:
    pixels = ONE.astype(np.int16)
    pixels[0, 0, 0] = -2000
    window = {"x00281050": ("DS", "40"), "x00281051": ("DS", "80")}
    path = write_dicom(tmp_path / "a.dcm", pixels, x00280120=("SS", -2000), **window)
    expected = ONE.astype(int)
    expected[0, 0, 0] = 90
    np.testing.assert_array_equal(values(path), expected)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_that_is_asked_for_is_pydicoms(tmp_path: Path, kind: str) -> None:
    pixels = np.arange(-700, 900, 4, dtype=np.int16).reshape(1, 20, 20)
    path = write_dicom(tmp_path / "a.dcm", pixels, kind, x00281050=("DS", "40"), x00281051=("DS", "400"))
    dataset = pydicom.dcmread(path)
    shown = pydicom.pixels.apply_windowing(dataset.pixel_array, dataset) + 2**15  # from 0 to 65,535
    expected = 65535 - shown if kind == "MONOCHROME1" else shown
    reading = replace(stated_range(ImportOptions(window="40,400")), depth=16)
    found = reading.levels(reading.selected(decode(path), 1))[0, ..., 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.51)
    assert {0, 65535} < set(found.ravel().tolist())
    with pytest.raises(DataError, match="lie outside of"):
        replace(reading, clip=False).levels(decode(path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"window": "40"},
            r"--window: got '40', must be its centre and its width, which is above 1, for example 40,400",
        ),
        ({"window": "40,1"}, "which is above 1"),
        ({"window": "nan,400"}, "must be its centre"),
        ({"window": "40,400", "white": 3.0}, "beside --white or --black; give one or the other"),
    ],
)
def test_no_window(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        stated_range(ImportOptions(**options))


def test_frames_in_time_are_pictures_and_others_are_asked_about(tmp_path: Path) -> None:
    timed = write_dicom(tmp_path / "a.dcm", WHOLE, x00280009=("AT", b"\x18\x00\x63\x10"))
    assert decode(timed).axis == "T"
    other = write_dicom(tmp_path / "b.dcm", WHOLE)
    with pytest.raises(QuestionError, match="holds 2 pages; say what they are: --pages frames"):
        open_picture(other)
    assert PictureReading(pages="frames").selected(decode(other), 3).pixels.shape == (2, 5, 4, 1)
    with other.open("rb") as file:
        assert pixels_in(other, file) == 40


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_lossless_jpeg_and_jpeg_ls_are_unpacked(tmp_path: Path, kind: type) -> None:
    noise = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (2, 9, 7), kind, endpoint=True)
    packings = {
        "1.2.840.10008.1.2.4.70": lambda one: imagecodecs.ljpeg_encode(one),
        "1.2.840.10008.1.2.4.80": lambda one: imagecodecs.jpegls_encode(one),
        "1.2.840.10008.1.2.4.90": lambda one: imagecodecs.jpeg2k_encode(one, codecformat="j2k", reversible=True),
        "1.2.840.10008.1.2.4.201": lambda one: imagecodecs.htj2k_encode(one, reversible=True),
    }
    for syntax, pack in packings.items():
        path = write_packed(tmp_path / f"{syntax}.dcm", noise, [pack(one) for one in noise], syntax)
        np.testing.assert_array_equal(values(path), noise, err_msg=syntax)


def test_frames_of_other_sides_or_another_number_are_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [imagecodecs.jpegls_encode(np.zeros((300, 400), np.uint8))]
    small = np.zeros((1, 5, 4), np.uint8)
    monkeypatch.setattr(imagecodecs, "jpegls_decode", None)
    path = write_packed(tmp_path / "a.dcm", small, large, "1.2.840.10008.1.2.4.80")
    with pytest.raises(DataError, match=r"a\.dcm: announces 5 x 4 pixels, frame 1 is 300 x 400"):
        decode(path)
    path = write_packed(tmp_path / "b.dcm", np.zeros((2, 300, 400), np.uint8), large, "1.2.840.10008.1.2.4.80")
    with pytest.raises(DataError, match=r"b\.dcm: announces 2 frame\(s\), holds 1"):
        decode(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x00280008": ("IS", "900000")}, r"values on all its pages, at most|announces \d+ bytes of pixels, holds 40"),
        ({"x00280008": ("IS", "3")}, "announces 120 bytes of pixels, holds 40"),
        ({"x00280008": ("IS", "-1")}, "announces -1 frame"),
        ({"x00280010": ("US", 65535), "x00280011": ("US", 65535)}, "65535 x 65535 pixels, at most"),
        ({"x00280002": ("US", 3)}, "announces 1 frame"),
        ({"x00280004": ("CS", "CMYK")}, "is DICOM of colours 'CMYK', must be one of MONOCHROME1"),
        ({"x00280101": ("US", 4)}, "stores 4 bits up to bit 15"),
        ({"x00280101": None}, "lacks BitsStored"),
        ({"x00280010": None}, "lacks Rows"),
        ({"x00281053": ("DS", "0")}, "rescale slope of 0"),
        ({"x00281053": ("DS", "Muster^Erika")}, r"cannot be read as DICOM \(\w+\)$"),
        ({"x7FE00010": None}, "is DICOM without pixels"),
    ],
)
def test_headers_that_lie_are_refused_in_one_sentence(tmp_path: Path, changes: Any, said: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", ONE, **changes)
    with pytest.raises(DataError, match=rf"a\.dcm: .*({said})") as caught:
        decode(path)
    assert "\n" not in str(caught.value) and not any(word in str(caught.value) for word in PATIENT)


def test_what_the_job_may_not_hold_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announced_size, "SMALL", 100)
    monkeypatch.setattr(announced_size, "job_memory", lambda: 100)
    with pytest.raises(DataError, match=r"a\.dcm: takes .* at once"):
        decode(write_dicom(tmp_path / "a.dcm", ONE))


def test_a_file_that_is_deflated_as_a_whole_is_not_unpacked(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(elements(described(ONE)) + bytes(2**24)) + packer.flush()
    path = tmp_path / "a.dcm"
    path.write_bytes(whole_file({}, "1.2.840.10008.1.2.1.99", packed))
    with pytest.raises(DataError, match=r"a\.dcm: is DICOM that is deflated as a whole; write it without that"):
        decode(path)


def test_bytes_that_are_no_dicom_are_refused_by_that_name(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.dcm: does not begin as DICOM files do"):
        decode(tmp_path / "a.dcm")
    with pytest.raises(DataError, match=r"a\.dcm: does not begin as DICOM files do"):
        pixels_in(tmp_path / "a.dcm", io.BytesIO(b"nothing"))


def smooth(seed: int, low: int, high: int) -> NDArray[np.uint16]:
    coarse = np.random.default_rng(seed).uniform(low, high, (6, 6)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((40, 40), Image.Resampling.BILINEAR)).astype(np.uint16)[None]


def scans(folder: Path) -> None:
    """Hounsfield units of normal and other pictures, and one that is damaged."""
    for number in range(16):
        place = folder / ("normal" if number < 10 else "bleeding") / f"{number:02d}.dcm"
        write_dicom(place, smooth(number, 100, 2000), x00281052=("DS", "-1024"), x00281053=("DS", "1"))
    (folder / "normal/cut.dcm").write_bytes((folder / "normal/00.dcm").read_bytes()[:700])


@pytest.mark.slow
@pytest.mark.parametrize("family", ["endoscopy", "cilia"])
def test_pictures_go_all_the_way_and_nobody_is_named(tmp_path: Path, family: str) -> None:
    scans(tmp_path / "set")
    asked = command_line(tmp_path, "inspect", "set", "--family", family)
    assert asked.code == 2 and "-891" in asked.stdout + asked.stderr and "--black" in asked.stdout + asked.stderr
    stated = ("--black", "-1024", "--white", "1100", "--track", "false")
    looked = command_line(tmp_path, "inspect", "set", "--family", family, *stated[:4])
    assert looked.code == 0, looked.stdout + looked.stderr
    done = command_line(tmp_path, "import", "set", "--family", family, *stated)
    assert done.code == 0, done.stdout + done.stderr
    made = [path for path in (tmp_path / "data").rglob("*") if path.suffix in (".png", ".tif", ".dcm")]
    assert len([path for path in made if path.parent.name in ("normal", "bleeding")]) == 16
    assert not [path for path in made if path.suffix == ".dcm"]
    given = ["--set", "prepare.size=32", *(["--set", "prepare.margin=0"] if family == "endoscopy" else [])]
    ready = command_line(tmp_path, "prepare", "--family", family, *given)
    assert ready.code == 0, ready.stdout + ready.stderr
    train = np.load(tmp_path / f"artifacts/prepared/{family}/train.npy")
    assert train.dtype == np.uint16 and 0 < train.min() < train.max() < 65535
    written = [path for top in ("data", "artifacts") for path in (tmp_path / top).rglob("*") if path.is_file()]
    assert len(written) > 30
    for path in written:
        content = path.read_bytes()
        assert not any(word.encode() in content for word in PATIENT), path
    said = " ".join((asked, looked, done, ready)[number].stdout for number in range(4))
    assert not any(word in said for word in PATIENT)


def test_a_picture_is_scored_and_served_by_the_contracts_black_and_white(tmp_path: Path) -> None:
    """As the same values in a TIFF are; a stack by its pages."""
    known = {"black": -1024.0, "white": 1100.0, "pages": "first", "channels": [], "depth": 16}
    known |= {"orientation": "applied", "colour": "RGB", "crop": "", "resize": ""}
    pixels = np.repeat(smooth(1, 100, 2000), 2, axis=0)
    write_dicom(tmp_path / "dicom/a.dcm", pixels, x00281052=("DS", "-1024"), x00281053=("DS", "1"))
    (tmp_path / "tiff").mkdir()
    tifffile.imwrite(tmp_path / "tiff/a.tif", pixels[0].astype(np.int16) - 1024)
    bundle = write_bundle(tmp_path / "bundle", "endoscopy", untrained("endoscopy"), pictures=known)
    scores = []
    for name in ("dicom", "tiff"):
        score(bundle, tmp_path / name, tmp_path / f"scored {name}")
        scores.append(scores_of(tmp_path / f"scored {name}")["score"])
    assert np.isfinite(scores[0]).all()
    np.testing.assert_array_equal(*scores)
    reading = reading_for(bundle.contract)
    (sent,) = open_inputs(Path("b"), bundle.contract, reading, (tmp_path / "dicom/a.dcm").read_bytes())
    np.testing.assert_array_equal(sent, open_picture(tmp_path / "tiff/a.tif", reading=reading))


@pytest.mark.slow
def test_a_window_holds_from_import_to_score(tmp_path: Path) -> None:
    scans(tmp_path / "set")
    stated = ("--window", "40,400", "--track", "false")
    assert command_line(tmp_path, "inspect", "set", "--family", "endoscopy", *stated[:2]).code == 0
    done = command_line(tmp_path, "import", "set", "--family", "endoscopy", *stated)
    assert done.code == 0, done.stdout + done.stderr
    given = ("--set", "prepare.size=32", "--set", "prepare.margin=0")
    ready = command_line(tmp_path, "prepare", "--family", "endoscopy", *given)
    assert ready.code == 0, ready.stdout + ready.stderr
    folder = tmp_path / "artifacts/prepared/endoscopy"
    train = np.load(folder / "train.npy")
    assert (train == 0).any() and (train == 65535).any() and ((train > 0) & (train < 65535)).any()
    known = read_json(folder / "manifest.json", "")["info"]["pictures"]
    assert (known["black"], known["white"], known["clip"]) == (-160.0, 239.0, True)
    more = {"orientation": "applied", "colour": "RGB", "crop": "", "resize": ""}
    bundle = write_bundle(tmp_path / "bundle", "endoscopy", untrained("endoscopy"), pictures=known | more)
    score(bundle, tmp_path / "set/normal", tmp_path / "scored")
    assert np.isfinite(scores_of(tmp_path / "scored")["score"]).sum() == 10
    again = read_contract(bundle.folder / CONTRACT).pictures
    assert again is not None and again.clip and reading_for(bundle.contract).clip


def test_series_are_pointed_to_nifti(tmp_path: Path) -> None:
    write_dicom(tmp_path / "set/a.dcm", ONE)
    done = command_line(tmp_path, "import", "set", "--family", "fmri", "--track", "false")
    said = " ".join(done.stderr.split())
    assert done.code == 2 and "it is DICOM: convert it to NIfTI, for example with dcm2niix" in said


def test_files_without_a_suffix_are_told_to_have_one(tmp_path: Path) -> None:
    write_dicom(tmp_path / "set/normal/IM0001", ONE)
    said = command_line(tmp_path, "import", "set", "--family", "endoscopy", "--track", "false")
    assert said.code == 2 and "it begins as DICOM does: give it the suffix .dcm" in " ".join(said.stderr.split())
