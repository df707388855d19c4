"""From pictures and numbers to what a packaged model takes, compared with what prepare makes of the same files."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from project import write_images
from serving import PREPARE, write_bundle
from vaeforge.data.images import open_picture
from vaeforge.data.layouts.classes import ClassSettings
from vaeforge.data.layouts.classes import read as read_classes
from vaeforge.data.layouts.pictures import read as read_pictures
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.data.pixels import Pixels
from vaeforge.errors import DataError
from vaeforge.package.bundle import Bundle
from vaeforge.package.contract import Contract
from vaeforge.package.inputs import condition_of, one_hot, open_inputs, picture_to_event, reading_for, samples_of

CLASSES = ("cat", "dog")


def contract(tmp_path: Path, **changes: Any) -> Contract:
    return Bundle(write_bundle(tmp_path / "model", **changes)).contract


def grey(tmp_path: Path, fit: str = "pad") -> Contract:
    return contract(tmp_path, shape=(1, 16, 16), data="classes", classes=CLASSES, prepare={"size": 16, "fit": fit})


def test_pictures_become_what_prepare_makes_of_them(tmp_path: Path) -> None:
    write_images(tmp_path / "data/normal", 10, 0, 160)
    write_images(tmp_path / "data/lesion", 4, 1, 250)
    prepared = read_pictures(tmp_path / "data", PictureSettings(**PREPARE))
    known = contract(tmp_path)
    files = sorted((tmp_path / "data").rglob("*.png"))
    events = {picture_to_event(open_picture(path), known).tobytes() for path in files}
    samples = [*prepared.validation.x, *prepared.test.x]
    assert samples and all(sample.tobytes() in events for sample in samples)


@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_pictures_of_classes_become_what_prepare_makes_of_them(tmp_path: Path, fit: Any) -> None:
    for number, name in enumerate(CLASSES):
        write_images(tmp_path / "data" / name, 5, number, 200)
        for path in (tmp_path / "data" / name).iterdir():
            Image.open(path).crop((0, 0, 60, 40)).save(path)
    prepared = read_classes(tmp_path / "data", ClassSettings(size=16, fit=fit))
    known = grey(tmp_path, fit)
    events = {picture_to_event(open_picture(path), known).tobytes() for path in (tmp_path / "data").rglob("*.png")}
    samples = [*prepared.train.x, *prepared.validation.x, *prepared.test.x]
    assert {sample.tobytes() for sample in samples} == events


@pytest.mark.parametrize("cut", [False, True])
def test_a_picture_that_is_a_sample_is_taken_as_it_is(tmp_path: Path, cut: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    known = replace(contract(tmp_path), cut=cut)  # a model of patches needs not be told
    event = picture_to_event(pixels, known, prepared=not cut)
    np.testing.assert_array_equal(event, pixels.transpose(2, 0, 1))
    with pytest.raises(DataError, match="got 20 x 16 pixels, must be 16 x 16"):
        picture_to_event(np.zeros((16, 20, 3), np.uint8), known, prepared=not cut)


def test_frames_are_patches_and_vectors_are_no_pictures(tmp_path: Path) -> None:
    frames = contract(tmp_path, shape=(1, 16, 16), data="frames", prepare={"size": 16, "stride": 8})
    assert picture_to_event(np.full((16, 16, 3), 255, np.uint8), frames).tolist() == [[[255] * 16] * 16]
    with pytest.raises(DataError, match="cut it into patches"):
        picture_to_event(np.zeros((32, 32, 3), np.uint8), frames)
    with pytest.raises(DataError, match=r"takes series of shape \[7\], no pictures"):
        picture_to_event(np.zeros((16, 16, 3), np.uint8), contract(tmp_path, shape=(7,), data="series", prepare={}))


def test_an_upload_is_read_as_files_are(tmp_path: Path) -> None:
    known = contract(tmp_path)

    def read_upload(name: str, content: bytes) -> Pixels:
        (picture,) = open_inputs(Path(name), known, reading_for(known), content)
        return picture

    path = tmp_path / "picture.png"
    Image.fromarray(np.arange(300, dtype=np.uint16).reshape(15, 20) * 200).save(path)
    np.testing.assert_array_equal(read_upload("a", path.read_bytes()), open_picture(path))
    with pytest.raises(DataError, match=r"^cut: cannot be read as PNG, JPEG, TIFF"):
        read_upload("cut", path.read_bytes()[:60])
    gif = io.BytesIO()
    Image.new("L", (4, 4)).save(gif, "GIF")
    with pytest.raises(DataError, match=r"^moving: cannot be read"):
        read_upload("moving", gif.getvalue())


def test_samples_have_the_contracts_shape(tmp_path: Path) -> None:
    known = contract(tmp_path, shape=(3,), data="series", prepare={})
    assert samples_of([1, 2, 3], known).tolist() == [[1, 2, 3]]
    assert samples_of(np.ones((2, 3), dtype=np.uint8), known).dtype == np.float32
    wrong: list[tuple[Any, str]] = [
        ([[1, 2]], r"got shape \[1, 2\], must be \[N, 3\]"),
        ([], "must be"),
        (np.ones((0, 3)), "N at least 1"),
        ([[1, 2, 3], [1]], "same length"),
        ([[1, 2, "three"]], "no array of numbers"),
        ([[1, 2, {}]], "no array of numbers"),
        ([[1, 2, None]], "1 of 3 values are NaN or infinite"),
        ([[1, 2, 1e39]], "1 of 3 values are NaN or infinite"),
        ([[1, 2, 10**400]], "no array of numbers"),
        (np.array([["a", "b", "c"]]), "type <U1"),
        (np.ones((1, 3), dtype=bool), "type bool"),
    ]
    for values, message in wrong:
        with pytest.raises(DataError, match=message):
            samples_of(values, known)


def test_one_long_text_among_many_does_not_cost_their_product(tmp_path: Path) -> None:
    known = contract(tmp_path, shape=(3,), data="series", prepare={})
    with pytest.raises(DataError):
        samples_of(["x" * 10**6] + [""] * 10**6, known)  # as an array of texts 4 TB


def test_classes_become_one_hot(tmp_path: Path) -> None:
    known = grey(tmp_path)
    expected = np.array([[0, 1], [0, 1]], dtype=np.float32)
    for given in ("dog", ["dog"], ["dog", "dog"], [0, 1], [[0, 1], [0, 1]]):
        np.testing.assert_array_equal(condition_of(given, known, 2), expected)
    with pytest.raises(DataError, match="got 'dgo', must be one of the classes cat, dog; did you mean 'dog'"):
        one_hot("dgo", known)
    for given, message in (
        (None, "is missing"),
        ([["cat"]], "no array"),
        (["cat"] * 3, r"shape \[3, 2\]"),
        ([1], r"got shape \[1\]"),
    ):
        with pytest.raises(DataError, match=message):
            condition_of(given, known, 2)


def test_a_condition_that_the_model_has_not_is_refused(tmp_path: Path) -> None:
    assert condition_of(None, contract(tmp_path), 2) is None
    with pytest.raises(DataError, match="this model has no condition"):
        condition_of("cat", contract(tmp_path), 2)


def test_coordinates_are_no_classes(tmp_path: Path) -> None:
    known = contract(tmp_path, shape=(3,), data="points", classes=("x", "y"), prepare={})
    np.testing.assert_array_equal(condition_of([0.5, 2], known, 1), np.array([[0.5, 2]], dtype=np.float32))
    with pytest.raises(DataError, match="got 'x', must be the numbers x, y"):
        condition_of("x", known, 1)
