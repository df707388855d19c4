"""Patches of frames: never a column in two parts, the same blocks for all frames, and small images are refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vaeforge.data.layouts.frames import FrameSettings, open_grey, read
from vaeforge.errors import DataError
from vaeforge.samples import Samples

SETTINGS = FrameSettings(size=16, stride=8, gap=0, validation=0.25, test=0.4)
HEIGHT, WIDTH = 40, 200
# 200 columns: train [0, 70), validation [70, 120), test [120, 200)


def field(number: int = 0, width: int = WIDTH) -> NDArray[np.uint8]:
    """An image whose pixels say which column they are of; its upper left corner says which frame it is."""
    image = np.tile(np.arange(width, dtype=np.uint8), (HEIGHT, 1))
    image[0, 0] = 250 + number
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "planar").mkdir()
    for number in range(3):
        Image.fromarray(field(number)).save(tmp_path / f"planar/img_{number}.png")
    return tmp_path


def columns(samples: Samples) -> set[int]:
    return set(np.unique(samples.x).tolist()) - set(range(250, 256))


def test_no_column_is_in_two_parts_of_any_frame(folder: Path) -> None:
    data = read(folder, SETTINGS)
    train, validation, test = map(columns, (data.train, data.validation, data.test))
    assert train <= set(range(70)) and validation <= set(range(70, 120)) and test <= set(range(120, 200))
    assert [min(part) for part in (train, validation, test)] == [0, 70, 120]


@pytest.mark.parametrize("gap", [1, 6, 11])
def test_what_moves_no_further_than_the_gap_stays_in_its_part(folder: Path, gap: int) -> None:
    """Frame n shows the field shifted by n * gap // 2 columns; the grey is the place on the specimen."""
    for number in range(3):
        shifted = np.tile(np.arange(WIDTH) + number * gap // 2, (HEIGHT, 1)).astype(np.uint8)
        Image.fromarray(shifted).save(folder / f"planar/img_{number}.png")
    parts = read(folder, SETTINGS.model_copy(update={"gap": gap, "stride": 1}))
    train, validation, test = (set(np.unique(part.x).tolist()) for part in (parts.train, parts.validation, parts.test))
    assert train and validation and test
    assert max(train) < min(validation) and max(validation) < min(test)
    still = read(folder, SETTINGS.model_copy(update={"gap": 0, "stride": 1}))
    assert still.train.x.max() >= still.validation.x.min()  # what the gap prevents


def test_a_gap_counts_in_what_a_strip_needs(folder: Path) -> None:
    # 200 columns: validation's share of 0.11 has 22, less a gap of 8; 24 columns need a share of 0.12
    settings = SETTINGS.model_copy(update={"gap": 8, "validation": 0.11})
    with pytest.raises(DataError, match=r"validation's strip has 14 of 200 .*gap's 8\).*share of at least 0\.122"):
        read(folder, settings)
    assert len(read(folder, settings.model_copy(update={"validation": 0.122})).validation)
    with pytest.raises(DataError, match=r"got 200 x 40 pixels, must be at least 202 x 16: three strips .* gaps of 77"):
        read(folder, SETTINGS.model_copy(update={"gap": 77}))


def test_how_many_patches_and_of_what_shape(folder: Path) -> None:
    data = read(folder, SETTINGS)
    # rows (40 - 16) // 8 + 1 = 4; columns (70 - 16) // 8 + 1 = 7, (50 - 16) // 8 + 1 = 5, (80 - 16) // 8 + 1 = 9
    assert [part.x.shape for part in (data.train, data.validation, data.test)] == [
        (3 * 4 * 7, 1, 16, 16),
        (3 * 4 * 5, 1, 16, 16),
        (3 * 4 * 9, 1, 16, 16),
    ]
    assert data.train.x.dtype == np.uint8 and data.train.condition.shape == (84, 0)
    assert data.counts == {"train": 84, "validation": 60, "test": 108, "test_groups": 10, "frames": 3}
    assert data.labels.tolist() == [0] * 108


def test_patches_are_what_the_image_holds(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    for number in range(3):
        Image.fromarray(image).save(folder / f"planar/img_{number}.png")
    data = read(folder, SETTINGS)
    np.testing.assert_array_equal(data.train.x[7 + 2, 0], image[8:24, 16:32])  # second row of patches, third column
    np.testing.assert_array_equal(data.test.x[0, 0], image[:16, 120:136])


def test_frames_share_their_blocks(folder: Path) -> None:
    data = read(folder, SETTINGS)
    per_frame = np.array(data.groups).reshape(3, -1)
    assert (per_frame == per_frame[0]).all()
    # centres at rows 8, 16, 24, 32 of 40: two squares of 16 and a rest; at columns 8, 16, ... 72 of 80: five squares
    assert [name.removeprefix("planar/200x40/") for name in per_frame[0][:9]] == [
        *("0/0", "0/1", "0/1", "0/2", "0/2", "0/3", "0/3", "0/4", "0/4"),
    ]
    assert [name.split("/")[-2] for name in per_frame[0][::9]] == ["0", "1", "1", "1"]


def test_another_size_is_another_specimen_with_strips_by_share(folder: Path) -> None:
    Image.fromarray(field(width=100)).save(folder / "planar/small.png")
    data = read(folder, SETTINGS)
    assert data.info["fields"] == ["planar/100x40", "planar/200x40"]
    assert len({name for name in data.groups if "100x40" in name}) > 0
    # 100 columns: train [0, 35), validation [35, 60), test [60, 100)
    assert data.train.x[-1].max() < 35 and data.validation.x[-1].min() >= 35 and data.test.x[-1].min() >= 60


def test_reading_twice_gives_the_same(folder: Path) -> None:
    first, again = read(folder, SETTINGS), read(folder, SETTINGS)
    np.testing.assert_array_equal(first.train.x, again.train.x)
    assert first.groups == again.groups


@pytest.mark.parametrize(
    ("part", "validation", "test"), [("validation", 0.05, 0.4), ("test", 0.25, 0.05), ("train", 0.4, 0.55)]
)
def test_a_narrow_strip_is_refused_with_the_share_that_works(
    folder: Path, part: str, validation: float, test: float
) -> None:
    with pytest.raises(DataError, match=rf"{part}'s strip has 10 of 200 columns .*share of at least 0\.082"):
        read(folder, FrameSettings(size=16, gap=0, validation=validation, test=test))
    shares = {"validation": validation, "test": test}
    if part == "train":
        shares["test"] = 1 - validation - 0.082
    else:
        shares[part] = 0.082
    assert len(read(folder, FrameSettings(size=16, gap=0, **shares)).test)


@pytest.mark.parametrize("width", range(49, 160, 5))
@pytest.mark.parametrize("validation", [0.34, 0.41])
def test_the_share_that_is_named_works_for_every_width(folder: Path, width: int, validation: float) -> None:
    shutil.rmtree(folder / "planar")
    Image.fromarray(field(width=width)).save(folder / "one.png")
    with pytest.raises(DataError, match="test's strip has") as refused:
        read(folder, FrameSettings(size=16, gap=0, validation=validation, test=0.02))
    least = float(str(refused.value).split("at least ")[-1].split(" ")[0])
    if width > 60:  # narrower ones leave no room for train beside it
        assert len(read(folder, FrameSettings(size=16, gap=0, validation=validation, test=least)).test)


def test_an_image_that_no_share_suits_is_refused(folder: Path) -> None:
    Image.fromarray(field(width=47)).save(folder / "planar/narrow.png")
    with pytest.raises(DataError, match=r"narrow\.png: got 47 x 40 pixels, must be at least 48 x 16"):
        read(folder, SETTINGS)
    Image.fromarray(field()[:15]).save(folder / "planar/narrow.png")
    with pytest.raises(DataError, match="got 200 x 15 pixels"):
        read(folder, SETTINGS)


def test_unreadable_hidden_and_other_files(folder: Path) -> None:
    (folder / "planar/cut.png").write_bytes((folder / "planar/img_0.png").read_bytes()[:60])
    (folder / "planar/.import").mkdir()
    Image.new("L", (5, 5)).save(folder / "planar/.import/figure.png")
    (folder / "planar/LICENSE").write_text("text")
    data = read(folder, SETTINGS)
    assert list(data.quarantined) == ["planar/cut.png"]
    assert data.info["frames"] == [f"planar/img_{number}.png" for number in range(3)]


def test_nothing_readable_is_refused(folder: Path) -> None:
    for path in (folder / "planar").iterdir():
        path.write_text("no image")
    with pytest.raises(DataError, match=r"3 image\(s\) .*none of them readable; .*img_0\.png: cannot be read"):
        read(folder, SETTINGS)
    shutil.rmtree(folder / "planar")
    with pytest.raises(DataError, match=r"0 image\(s\)"):
        read(folder, SETTINGS)


def test_two_data_sets_are_refused(folder: Path) -> None:
    shutil.copytree(folder / "planar", folder / "mine")
    with pytest.raises(DataError, match=r"holds 2 data sets \(mine, planar\), must be one"):
        read(folder, SETTINGS)
    shutil.rmtree(folder / "mine")
    shutil.copy(folder / "planar/img_0.png", folder / "loose.png")
    with pytest.raises(DataError, match=r"holds 2 data sets \(\., planar\)"):
        read(folder, SETTINGS)


def test_greys_stay_what_they_are(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(open_grey(tmp_path / "ramp.png"), ramp)
    np.testing.assert_array_equal(open_grey(tmp_path / "deep.png"), ramp)
