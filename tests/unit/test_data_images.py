"""Reading pictures: one policy for every mode, and damage is an error that names the file."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from vaeforge.data import picture_file
from vaeforge.data.images import read_labels, read_picture
from vaeforge.data.picture_reading import PictureReading
from vaeforge.errors import DataError

RED = (200, 10, 30)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_rgb_is_read_as_it_is_channels_first(tmp_path: Path, suffix: str) -> None:
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    read = read_picture(save(Image.fromarray(pixels), tmp_path / f"a.{suffix}"))
    assert (read.dtype, read.shape) == (np.uint8, (3, 5, 7))
    np.testing.assert_array_equal(read, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(("deep", "expected"), [(0, 0), (200, 1), (257, 1), (32896, 128), (65535, 255)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_divided_by_257_where_white_is_65535(
    tmp_path: Path, deep: int, expected: int, suffix: str
) -> None:
    path = save(Image.fromarray(np.full((4, 4), deep, dtype=np.uint16)), tmp_path / f"a.{suffix}")
    assert np.unique(read_picture(path, PictureReading(white=65535))).tolist() == [expected]


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_greys_without_a_known_white_are_refused(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((4, 4), -100, dtype=dtype))
    with pytest.raises(DataError, match=r"a\.tif: .* say what is black and white"):
        read_picture(path)


@pytest.mark.parametrize("mode", ["P", "L", "1", "LA", "CMYK"])
def test_other_modes_become_three_channels(tmp_path: Path, mode: str) -> None:
    path = save(Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode), tmp_path / "a.tif")
    read = read_picture(path)
    assert read.shape == (3, 4, 6)
    assert read.min() == 255


def test_what_is_transparent_is_laid_onto_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (2, 1), (*RED, 255))
    picture.putpixel((1, 0), (*RED, 0))
    read = read_picture(save(picture, tmp_path / "a.png"))
    assert read[:, 0].T.tolist() == [list(RED), [255, 255, 255]]


def test_transparency_of_a_palette_is_laid_onto_white_too(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    path = save(picture, tmp_path / "a.png", transparency=1)
    assert read_picture(path)[:, 0].T.tolist() == [list(RED), [255, 255, 255]]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_a_cut_off_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    path = save(Image.fromarray(noise), tmp_path / f"a.{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=rf"a\.{suffix}: cannot be read as PNG, JPEG, TIFF"):
        read_picture(path)


def test_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    """Random bytes in the headers of small files: each is read or refused, nothing else."""
    rng = np.random.default_rng(1)
    path = tmp_path / "a"
    refused = 0
    for kind in ("PNG", "JPEG", "TIFF"):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(path, kind)
        sound = path.read_bytes()
        for _ in range(60):
            damaged = bytearray(sound)
            for place in rng.integers(0, min(len(sound), 200), 3):
                damaged[place] = rng.integers(0, 256)
            path.write_bytes(damaged)
            try:
                read_picture(path)
            except DataError:
                refused += 1
    assert refused > 60


def test_an_unlisted_format_is_refused_whatever_its_name(tmp_path: Path) -> None:
    save(Image.new("RGB", (4, 4), RED), tmp_path / "a.gif").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: cannot be read"):
        read_picture(tmp_path / "a.png")


def test_more_pixels_than_allowed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(Image.new("L", (30, 20)), tmp_path / "a.png")
    monkeypatch.setattr(picture_file, "PIXEL_LIMIT", 599)
    with pytest.raises(DataError, match="30 x 20 pixels, at most 599"):
        read_picture(path)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = save(Image.new("1", (20_000, 10_000)), tmp_path / "a.png", optimize=True)
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"a\.png: refused .*decompression bomb"):
        read_picture(path)


def test_a_warning_is_refused_too_where_pillow_only_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(Image.new("L", (30, 20)), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(DataError, match=r"a\.png: refused"):
        read_picture(path)


def test_labels_hold_three_values_only(tmp_path: Path) -> None:
    path = save(Image.fromarray(np.array([[0, 1], [2, 3]], dtype=np.uint8)), tmp_path / "labels.png")
    with pytest.raises(DataError, match=r"labels\.png: holds \['3'\], must be 8-bit grey"):
        read_labels(path)


def test_labels_have_the_limit_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_file, "PIXEL_LIMIT", 5)
    with pytest.raises(DataError, match=r"labels\.png: 3 x 2 pixels, at most 5 are read"):
        read_labels(save(Image.new("L", (3, 2)), tmp_path / "labels.png"))


def test_labels_are_grey(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds \['RGB'\], must be 8-bit grey"):
        read_labels(save(Image.new("RGB", (2, 2)), tmp_path / "labels.png"))
