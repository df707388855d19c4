"""Images of classes: each in exactly one part, squared as asked, and what cannot be divided is refused."""

import itertools
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaeforge.data.images import open_grey
from vaeforge.data.layouts import classes
from vaeforge.data.layouts.classes import ClassSettings, read
from vaeforge.data.picture_reading import PictureReading
from vaeforge.data.pixels import Pixels
from vaeforge.data.resize import fit_square as square
from vaeforge.errors import DataError
from vaeforge.samples import DataSet

SETTINGS = ClassSettings(size=16, validation=0.2, test=0.3)


def add(folder: Path, count: int, first: int, size: tuple[int, int] = (16, 16), name: str = "{}") -> None:
    """Images of one grey each; image number n is n all over."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        Image.new("L", size, number).save(folder / f"{name.format(number)}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path / "mine/cilia", 20, 0)
    add(tmp_path / "mine/flagella", 10, 100)
    return tmp_path


def archive(folder: Path, **changed: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    arrays = {"images": images, "labels": np.arange(12) % 2, "classes": np.array(["zero", "one"])}
    np.savez(folder / "images.npz", **(arrays | changed))
    return folder


def greys(data: DataSet) -> list[list[int]]:
    return [part.x[:, 0, 8, 8].tolist() for part in (data.train, data.validation, data.test)]


def test_every_image_is_opened_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to be checked, once to become a square."""
    opened = Counter[str]()

    def counted(path: Path, reading: PictureReading) -> Pixels:
        opened[str(path)] += 1
        return open_grey(path, reading)

    monkeypatch.setattr(classes, "open_grey", counted)
    read(folder, SETTINGS)
    assert len(opened) == 30 and set(opened.values()) == {1}


def test_every_image_is_in_exactly_one_part(folder: Path) -> None:
    parts = greys(read(folder, SETTINGS))
    assert sorted(itertools.chain(*parts)) == [*range(20), *range(100, 110)]


def test_every_class_has_its_share_in_every_part(folder: Path) -> None:
    data = read(folder, SETTINGS)
    assert [(sum(n < 100 for n in part), sum(n >= 100 for n in part)) for part in greys(data)] == [
        (10, 5),
        (4, 2),
        (6, 3),
    ]
    assert data.info["counts"]["flagella"] == {"train": 5, "validation": 2, "test": 3}
    assert data.counts == {"train": 15, "validation": 6, "test": 9, "test_groups": 9, "classes": 2}


def test_conditions_and_labels_say_the_class(folder: Path) -> None:
    data = read(folder, SETTINGS)
    assert data.info["classes"] == ["cilia", "flagella"]
    for part in (data.train, data.validation, data.test):
        expected = (part.x[:, 0, 8, 8] >= 100).astype(int)
        np.testing.assert_array_equal(part.condition, np.eye(2, dtype=np.float32)[expected])
        assert part.x.dtype == np.uint8 and part.x.shape[1:] == (1, 16, 16)
    np.testing.assert_array_equal(data.labels, data.test.condition.argmax(axis=1))
    assert len(set(data.groups)) == len(data.test)
    assert data.groups[0] == f"mine/cilia/{data.test.x[0, 0, 0, 0]}.png"


def test_the_seed_decides_and_repeats(folder: Path) -> None:
    first, again = read(folder, SETTINGS), read(folder, SETTINGS)
    other = read(folder, SETTINGS.model_copy(update={"seed": 1}))
    assert greys(first) == greys(again) and greys(first) != greys(other)


def test_another_class_does_not_change_the_division(folder: Path) -> None:
    before = [sorted(n for n in part if n < 100) for part in greys(read(folder, SETTINGS))]
    add(folder / "mine/axonemes", 5, 200)
    assert [sorted(n for n in part if n < 100) for part in greys(read(folder, SETTINGS))] == before


@pytest.mark.parametrize(("validation", "test"), [(0.2, 0.3), (0.45, 0.5), (0.01, 0.01)])
def test_three_images_give_one_to_each_part(tmp_path: Path, validation: float, test: float) -> None:
    add(tmp_path / "a", 3, 0)
    add(tmp_path / "b", 3, 50)
    data = read(tmp_path, ClassSettings(size=16, validation=validation, test=test))
    assert [sorted(n >= 50 for n in part) for part in greys(data)] == [[False, True]] * 3


def test_classes_in_file_names(tmp_path: Path) -> None:
    add(tmp_path / "mine", 4, 0, name="Primary_Cilia_{}")
    add(tmp_path / "mine", 4, 50, name="Flagella_{}")
    data = read(tmp_path, SETTINGS)
    assert data.info["classes"] == ["Flagella", "Primary_Cilia"]
    np.testing.assert_array_equal(data.labels, (data.test.x[:, 0, 0, 0] < 50).astype(int))


def test_an_archive_keeps_the_order_of_its_classes(tmp_path: Path) -> None:
    data = read(archive(tmp_path / "digits"), SETTINGS)
    assert data.info["classes"] == ["zero", "one"]
    assert all(int(name.split("/")[1]) % 2 == label for name, label in zip(data.groups, data.labels, strict=True))
    assert data.info["aspect_ratios"] == {"zero": [1.0] * 3, "one": [1.0] * 3}


def test_padding_keeps_the_aspect_ratio_and_takes_the_border() -> None:
    image = np.full((10, 40), 90, dtype=np.uint8)
    image[2:8, 2:38] = 200  # the border is 90 all around
    padded = square(image, 16, "pad")
    # 40 x 10 scaled by 16 / 40 is 16 x 4: rows 6 to 9, with 90 above and below
    assert (padded[:6] == 90).all() and (padded[10:] == 90).all()
    assert padded[7:9, 4:12].min() > 180


def test_squashing_fills_the_square() -> None:
    image = np.zeros((10, 40), dtype=np.uint8)
    image[:, 20:] = 255
    squashed = square(image, 16, "squash")
    assert (squashed[:, :6] == 0).all() and (squashed[:, 10:] == 255).all()


def test_shrinking_is_antialiased() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255  # every other pixel is white: grey from afar
    assert np.abs(square(board.astype(np.uint8), 16, "pad")[2:-2, 2:-2].astype(int) - 127).max() <= 10


def test_small_images_grow_bicubically() -> None:
    ramp = np.tile(np.arange(28, dtype=np.uint8) * 9, (28, 1))
    grown = square(ramp, 112, "pad")[56].astype(int)
    # pixel j of the grown image lies at (j + 0.5) / 4 - 0.5 of the ramp; away from the ends a cubic keeps a line
    np.testing.assert_allclose(grown[16:96], ((np.arange(16, 96) + 0.5) / 4 - 0.5) * 9, atol=1)


def test_aspect_ratios_of_training_images(tmp_path: Path) -> None:
    add(tmp_path / "wide", 4, 0, size=(40, 20))
    add(tmp_path / "tall", 4, 50, size=(20, 40))
    assert read(tmp_path, SETTINGS).info["aspect_ratios"] == {"wide": [2.0] * 2, "tall": [0.5] * 2}


def test_a_white_level_is_stated_or_found(tmp_path: Path) -> None:
    add(tmp_path / "a", 3, 0)
    add(tmp_path / "b", 2, 50)
    Image.fromarray(np.full((16, 16), 257 * 60, dtype=np.uint16)).save(tmp_path / "b/deep.png")
    # 257 * 60 = 15420 lies within 14 bits, of which it is 15420 / 16383 * 255 = 240.01
    assert 240 in itertools.chain(*greys(read(tmp_path, SETTINGS)))
    assert 60 in itertools.chain(*greys(read(tmp_path, SETTINGS.model_copy(update={"white": 65535.0}))))


def test_unreadable_and_hidden_files(folder: Path) -> None:
    (folder / "mine/cilia/cut.png").write_bytes((folder / "mine/cilia/3.png").read_bytes()[:40])
    (folder / "mine/.import").mkdir()
    shutil.copy(folder / "mine/cilia/3.png", folder / "mine/.import/figure.png")
    for name in ("LICENSE", "ATTRIBUTION.md", "statistics.csv"):
        (folder / "mine" / name).write_text("text")
    data = read(folder, SETTINGS)
    assert list(data.quarantined) == ["mine/cilia/cut.png"]
    assert data.counts["train"] == 15


def test_the_same_image_under_two_names_is_refused_in_any_format(folder: Path) -> None:
    Image.open(folder / "mine/cilia/3.png").save(folder / "mine/flagella/copy.tif")
    with pytest.raises(DataError, match=r"1 image\(s\) occur twice.*cilia/3\.png = mine/flagella/copy\.tif"):
        read(folder, SETTINGS)


def test_a_class_of_two_is_refused_with_all_counts(folder: Path) -> None:
    add(folder / "mine/rare", 2, 200)
    with pytest.raises(DataError, match=r"\{'cilia': 20, 'flagella': 10, 'rare': 2\}, must be at least 3"):
        read(folder, SETTINGS)


def test_one_class_is_refused(tmp_path: Path) -> None:
    add(tmp_path / "mine", 5, 0, name="Cilia_{}")
    with pytest.raises(DataError, match=r"got the class\(es\) \['Cilia'\], must be at least 2"):
        read(tmp_path, SETTINGS)


def test_names_without_a_class_are_refused(tmp_path: Path) -> None:
    add(tmp_path / "mine", 5, 0)
    with pytest.raises(DataError, match=r"5 of 5 images in one folder are not called \[Class\]_\[Number\] \(0\.png"):
        read(tmp_path, SETTINGS)


def test_two_data_sets_are_refused(folder: Path) -> None:
    add(folder / "other/cilia", 5, 200)
    with pytest.raises(DataError, match=r"mine/cilia, mine/flagella, other/cilia, must lie in class folders beside"):
        read(folder, SETTINGS)
    shutil.rmtree(folder / "other")
    archive(folder / "digits")
    with pytest.raises(DataError, match=r"1 archive\(s\) \(digits/images\.npz\) and 30 image file\(s\), must be one"):
        read(folder, SETTINGS)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds neither images\.npz nor images"):
        read(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": np.zeros((12, 28, 28))}, r"`images` is float64 \(12, 28, 28\), must be uint8"),
        ({"labels": np.zeros(11, dtype=int)}, r"`labels` is int64 \(11,\), must be integers \[12\]"),
        ({"labels": np.full(12, 2)}, r"`labels` is 2 to 2, must be 0 to 1"),
        ({"classes": np.array(["a", "a"])}, r"`classes` is <U1 \(2,\), must be different names"),
        ({"classes": np.array(["a", "b"], dtype=object)}, r"cannot be read as an archive .* without pickled objects"),
        ({"images": np.zeros((12, 28, 28), dtype=np.uint8)}, r"11 image\(s\) occur twice"),
        ({"classes": np.array(["a", "b", "none"])}, r"'none': 0\}, must be at least 3"),
    ],
)
def test_wrong_archives_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(archive(tmp_path, **changed), SETTINGS)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read as an archive"):
        read(tmp_path, SETTINGS)
