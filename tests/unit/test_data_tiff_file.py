"""Pictures as instruments write them: values worked out by hand, files written by tifffile and Pillow."""

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from vaeforge.data.decoding import decode
from vaeforge.data.images import open_picture, open_pictures
from vaeforge.data.picture_reading import PictureReading
from vaeforge.errors import DataError, QuestionError

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (20, 30, 3)).astype(np.uint16)
DEEP[0, 0] = 65535


def pixels(path: Path, **reading: Any) -> np.ndarray[Any, Any]:
    return np.asarray(open_picture(path, reading=PictureReading(**reading)))


def test_a_camera_of_12_bits_keeps_its_levels(tmp_path: Path) -> None:
    """200 to 3,800 of 4,095 have round(3800 / 4095 * 255) - round(200 / 4095 * 255) + 1 = 237 - 12 + 1 levels."""
    ramp = np.linspace(200, 3800, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    for name in ("a.png", "a.tif"):
        Image.fromarray(ramp).save(tmp_path / name)
        assert np.unique(pixels(tmp_path / name)).tolist() == list(range(12, 238))


def test_sixteen_bit_colour_in_png_keeps_its_levels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(DEEP >> 4))
    assert np.abs(pixels(tmp_path / "a.png") - (DEEP >> 4) / 4095 * 255).max() <= 0.5


def test_separate_planes_are_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, DEEP.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    assert np.abs(pixels(path) - DEEP / 257).max() <= 0.5


def test_white_is_zero_is_turned_around(tmp_path: Path) -> None:
    values = np.array([[0, 65535], [257, 0]], dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    assert pixels(tmp_path / "a.tif")[..., 0].tolist() == [[255, 0], [254, 255]]


def test_signed_and_floating_values_have_the_stated_range(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[-128, 127], [0, -1]], dtype=np.int8))
    tifffile.imwrite(tmp_path / "b.tif", np.array([[0.0, 1.0], [0.5, 0.2]], dtype=np.float32))
    for name in ("a.tif", "b.tif"):
        with pytest.raises(QuestionError, match="say what is black and white, for example --black 0 --white 1"):
            pixels(tmp_path / name)
    assert pixels(tmp_path / "a.tif", black=-128, white=127)[..., 0].tolist() == [[0, 255], [128, 127]]
    assert pixels(tmp_path / "b.tif", white=1)[..., 0].tolist() == [[0, 255], [128, 51]]
    with pytest.raises(DataError, match="50% of the values, -128 to 127, lie outside of 0"):
        pixels(tmp_path / "a.tif", white=127)


def test_channels_of_a_microscope_are_taken_by_name_or_number(tmp_path: Path) -> None:
    path, values = tmp_path / "a.ome.tif", RNG.integers(0, 4096, (2, 20, 30)).astype(np.uint16)
    tifffile.imwrite(
        path, values, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}, "SignificantBits": 12}
    )
    expected = np.round(values / 4095 * 255)
    np.testing.assert_array_equal(pixels(path)[..., :2], np.moveaxis(expected, 0, -1))
    for name in ("GFP", "1"):
        (grey,) = open_pictures(path, reading=PictureReading(channels=(name,)), most=1)
        np.testing.assert_array_equal(np.asarray(grey)[..., 0], expected[1])
    with pytest.raises(QuestionError, match=r"has 2 channels \(DAPI, GFP\), the family takes 1.*--channels 0"):
        open_pictures(path, most=1)
    with pytest.raises(DataError, match=r"has no channel 'RFP'.* must be 0 to 1, or DAPI, GFP"):
        open_pictures(path, reading=PictureReading(channels=("RFP",)), most=1)


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_axes_say_what_pages_are(tmp_path: Path, axes: str) -> None:
    path, values = tmp_path / "a.tif", RNG.integers(0, 256, (4, 20, 30)).astype(np.uint8)
    tifffile.imwrite(path, values, imagej=True, metadata={"axes": axes})
    if axes == "ZYX":
        with pytest.raises(QuestionError, match="holds 4 slices of a stack; say what they are"):
            open_pictures(path)
    frames = open_pictures(path, reading=PictureReading(pages="frames" if axes == "ZYX" else ""))
    np.testing.assert_array_equal(np.stack([np.asarray(frame)[..., 0] for frame in frames]), values)
    np.testing.assert_array_equal(pixels(path, pages="max")[..., 0], values.max(0))


def test_a_hyperstack_with_one_header_for_all_pages_is_read_whole(tmp_path: Path) -> None:
    """ImageJ writes so beyond 4 GB: a small file whose chain of headers ends after the first."""
    path, values = tmp_path / "a.tif", RNG.integers(0, 256, (5, 20, 30)).astype(np.uint8)
    tifffile.imwrite(path, values, imagej=True, metadata={"axes": "ZYX"})
    content = bytearray(path.read_bytes())
    order = "<" if content[:2] == b"II" else ">"
    first = struct.unpack_from(f"{order}I", content, 4)[0]
    entries = struct.unpack_from(f"{order}H", content, first)[0]
    struct.pack_into(f"{order}I", content, first + 2 + 12 * entries, 0)
    path.write_bytes(content)
    with tifffile.TiffFile(path) as opened:
        assert len(opened.pages) == 1
    np.testing.assert_array_equal(decode(path).pixels[..., 0], values)


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_orientation_is_applied_to_every_format(tmp_path: Path, turn: int) -> None:
    """Seen by the corner that holds the only white quarter: where TIFF 6.0 says row 0 and column 0 are to be shown."""
    stored = np.zeros((16, 32), dtype=np.uint8)
    stored[:8, :16] = 255
    corner = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}[turn]
    exif = Image.Exif()
    exif[274] = turn
    Image.fromarray(stored).save(tmp_path / "a.tif", tiffinfo={274: turn})
    for name in ("a.png", "a.jpg", "a.webp"):
        Image.fromarray(stored).convert("RGB").save(tmp_path / name, exif=exif, quality=95)
    for name in ("a.tif", "a.png", "a.jpg", "a.webp"):
        shown = pixels(tmp_path / name)[..., 0] > 127
        assert shown.shape == ((32, 16) if turn > 4 else (16, 32))
        row, column = (0 if corner[0] == "t" else -1), (0 if corner[1] == "l" else -1)
        assert shown[row, column] and shown.mean() == 0.25
