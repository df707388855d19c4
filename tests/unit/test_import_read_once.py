"""Files of an import are read once, parts of large ones are in memory, and what is written stays the same."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from vaeforge.data import missing
from vaeforge.errors import DataError
from vaeforge.importing import measured_images, volumes
from vaeforge.importing.formats import pictures, series
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.packed_series import write_columns
from vaeforge.importing.parsed_source import ImportLog
from vaeforge.importing.read_once import ReadOnce, keep

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, ">i2"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_copy_is_what_was_kept(kind: Any, turned: bool) -> None:
    values = RNG.integers(0, 99, (7, 5)).astype(kind)
    values = values.T if turned else values
    bring = keep(values)
    assert bring is not None
    for again in (bring(), bring()):
        assert again.dtype == values.dtype and again.shape == values.shape and (again == values).all()


def test_a_source_is_asked_once() -> None:
    asked: list[int] = []

    def load() -> Any:
        asked.append(1)
        return RNG.random((3, 4))

    once = ReadOnce(load)
    first = once()
    assert (once() == first).all() and len(asked) == 1


def test_texts_and_nothing_are_not_kept() -> None:
    assert keep(np.array(["a"])) is None and keep(np.zeros((0, 3))) is None


@pytest.mark.parametrize("mask", [False, True])
def test_values_of_each_volume_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: bool) -> None:
    source = tmp_path / "source"
    source.mkdir()
    values = {name: RNG.normal(size=(4, 3, 2, 12)).astype(np.float32) for name in ("a", "b")}
    values["a"][0, 0, 0], values["b"][1, 1, 1] = 5, 7  # constant: in neither
    for name, own in values.items():
        nibabel.save(nibabel.Nifti1Image(own, np.eye(4)), source / f"{name}.nii.gz")
    chosen = np.zeros((4, 3, 2), np.uint8)
    chosen[1:, :2] = 1
    nibabel.save(nibabel.Nifti1Image(chosen, np.eye(4)), tmp_path / "mask.nii")
    read: Counter[str] = Counter()
    whole = volumes.values_of
    monkeypatch.setattr(volumes, "values_of", lambda image, path: (read.update([path.name]), whole(image, path))[1])
    options = ImportOptions(mask=tmp_path / "mask.nii" if mask else None)
    content = series.read_series(source, options, ImportLog())
    content.write(tmp_path)
    assert {name: read[f"{name}.nii.gz"] for name in values} == {"a": 1, "b": 1}
    varying = [own.min(-1) < own.max(-1) for own in values.values()]
    kept = chosen > 0 if mask else varying[0] & varying[1]
    with np.load(tmp_path / "timeseries.npz") as written:
        for name, own in values.items():
            assert (written[name] == own[kept].T).all()


@pytest.mark.parametrize("shape", [(5, 7), (1, 7), (5, 1), (3000, 1500)])
def test_large_series_are_written_with_the_bytes_of_small_ones(shape: tuple[int, int]) -> None:
    values = RNG.random(shape, np.float32)
    kept = np.arange(shape[1]) % 3 != 1
    files = [io.BytesIO(), io.BytesIO()]
    for file, large in zip(files, (values.size, 0), strict=True):
        write_columns(file, values, kept, large)
    assert files[0].getvalue() == files[1].getvalue()


@pytest.mark.parametrize("lacking", [False, True])
def test_the_spread_of_large_arrays_is_that_of_small_ones(monkeypatch: pytest.MonkeyPatch, lacking: bool) -> None:
    values = RNG.normal(100, 3, (400, 30)).astype(np.float32)
    values[3, 4] = np.nan if lacking else 0
    expected, counts = missing.spread_of(values, None), series._histogram(values, 100.0, 3.0)
    monkeypatch.setattr(missing, "LARGE", 100)
    monkeypatch.setattr(missing, "BLOCK", 90)
    monkeypatch.setattr(series, "BLOCK", 90)
    assert missing.spread_of(values, None) == pytest.approx(float(expected), rel=1e-8)
    assert (series._histogram(values, 100.0, 3.0) == counts).all() and counts.sum() > 11_900


def test_pictures_that_are_copied_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, seen = tmp_path / "source", Counter[str]()
    for name in ("normal/a", "normal/b", "other/c", "other/d"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (9, 9, 3), np.uint8)).save(source / f"{name}.png")
    decode = measured_images.decode
    monkeypatch.setattr(measured_images, "decode", lambda path, file: (seen.update([path.name]), decode(path, file))[1])
    content = pictures.FORMAT.parse(source, ImportOptions(), ImportLog())
    content.write(tmp_path / "made")
    assert set(seen.values()) == {1} and len(seen) == 4
    for path in source.rglob("*.png"):
        assert (tmp_path / "made" / path.relative_to(source)).read_bytes() == path.read_bytes()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(source / "other/c.png")
    with pytest.raises(DataError, match=r"c\.png: changed while it was read"):
        content.write(tmp_path / "again")
