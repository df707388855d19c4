"""MRC, DM3 and DM4 as pictures: values in each type, mrcfile's files, and headers that lie."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from microscope_files import OPERATOR, DMWriter, write_dm, write_mrc
from project import command_line
from vaeforge.data import announced_size
from vaeforge.data.decoding import decode, pixels_in
from vaeforge.data.images import open_picture
from vaeforge.data.picture_reading import PictureReading
from vaeforge.errors import DataError, QuestionError

pytestmark = pytest.mark.usefixtures("undrawn")
RNG = np.random.default_rng(2)
STACK = RNG.integers(0, 100, (3, 5, 7))
KINDS = {"mrc": ("i1", "i2", "f4", "u2", "f2", "u1"), "dm3": ("i1", "i2", "f4", "u2", "i4", "u4", "f8", "u1")}
KINDS["dm4"] = KINDS["dm3"]


def write(path: Path, pixels: NDArray[Any]) -> Path:
    return write_mrc(path, pixels) if path.suffix == ".mrc" else write_dm(path, pixels)


@pytest.mark.parametrize(("suffix", "kind"), [(suffix, kind) for suffix, kinds in KINDS.items() for kind in kinds])
def test_values_of_each_type(tmp_path: Path, suffix: str, kind: str) -> None:
    values = (STACK - (50 if kind[0] in "if" else 0)).astype("<" + kind)
    path = write(tmp_path / f"a.{suffix}", values)
    found = decode(path)
    assert found.pixels.shape == (3, 5, 7, 1) and found.pixels.dtype.isnative
    np.testing.assert_array_equal(found.pixels[..., 0], values)
    with path.open("rb") as file:
        assert pixels_in(path, file) == 105
    one = decode(write(tmp_path / f"b.{suffix}", values[:1]))
    np.testing.assert_array_equal(one.pixels[0, ..., 0], values[0])


@pytest.mark.parametrize("suffix", KINDS)
def test_range_and_planes_are_asked_about(tmp_path: Path, suffix: str) -> None:
    signed = write(tmp_path / f"a.{suffix}", (STACK[:1] - 50).astype("<f4"))
    with pytest.raises(DataError, match=r"float32 values from -\d+ to \d+; say what is black and white"):
        open_picture(signed)
    shown = open_picture(signed, reading=PictureReading(black=-50, white=50))
    np.testing.assert_array_equal(shown[..., 0], np.round(STACK[0] * 2.55))
    counts = write(tmp_path / f"b.{suffix}", (STACK[:1] * 40).astype("<u2"))
    np.testing.assert_array_equal(open_picture(counts)[..., 0], np.round(STACK[0] * 40 / 4095 * 255))
    with pytest.raises(QuestionError, match=r"holds 3 (pages|slices of a stack); say what they are: --pages frames"):
        open_picture(write(tmp_path / f"c.{suffix}", STACK.astype("<u2")))


def test_mrc_of_both_orders_with_what_stands_before_the_values(tmp_path: Path) -> None:
    for order in "<>":
        path = write_mrc(tmp_path / "a.mrc", STACK.astype("<i2"), order, extended=96, volume=True)
        found = decode(path)
        np.testing.assert_array_equal(found.pixels[..., 0], STACK)
        assert found.axis == "Z"
    assert decode(write_mrc(tmp_path / "a.mrc", STACK.astype("<i2"))).axis == "I"


@pytest.mark.parametrize("kind", ["int8", "int16", "uint16", "float16", "float32"])
def test_files_of_mrcfile_are_read_value_by_value(tmp_path: Path, kind: str) -> None:
    mrcfile = pytest.importorskip("mrcfile")
    values = (STACK - 50 if kind != "uint16" else STACK).astype(kind)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(values)
    np.testing.assert_array_equal(decode(tmp_path / "a.mrc").pixels[..., 0], values)


@pytest.mark.skipif(importlib.util.find_spec("ncempy") is None, reason="ncempy is not installed")
@pytest.mark.parametrize("suffix", ["dm3", "dm4"])
def test_another_reader_sees_the_same_in_these_files(tmp_path: Path, suffix: str) -> None:
    """ncempy, whose package cannot be imported without others that it does not need for this."""
    found = importlib.util.find_spec("ncempy")
    assert found is not None and found.submodule_search_locations
    place = Path(found.submodule_search_locations[0]) / "io/dm.py"
    spec = importlib.util.spec_from_file_location("ncempy_dm", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for kind in ("f4", "u2", "i4", "u1"):
        values = RNG.integers(0, 200, (1, 50, 40)).astype("<" + kind)
        path = write_dm(tmp_path / f"{kind}.{suffix}", values)
        np.testing.assert_array_equal(module.dmReader(str(path))["data"], decode(path).pixels[0, ..., 0])


def test_the_picture_is_the_one_that_is_no_thumbnail(tmp_path: Path) -> None:
    values = STACK.astype("<u2")
    np.testing.assert_array_equal(decode(write_dm(tmp_path / "a.dm3", values, None)).pixels[..., 0], values)
    writer = DMWriter(4)
    two = [writer.image(values[:1], 10, (7, 5)), writer.image(values[1:2], 10, (7, 5))]
    (tmp_path / "b.dm4").write_bytes(writer.file(two, thumbnail=None))
    with pytest.raises(DataError, match="holds 2 pictures, must hold one beside its thumbnail"):
        decode(tmp_path / "b.dm4")
    colours = np.array([[0x00010203, 0x000A0B0C]], "<u4")
    (tmp_path / "c.dm4").write_bytes(writer.file([writer.image(colours, 23, (2, 1))], thumbnail=None))
    assert decode(tmp_path / "c.dm4").pixels.tolist() == [[[[1, 2, 3], [10, 11, 12]]]]


def spoilt(path: Path, place: int, content: bytes) -> Path:
    whole = bytearray(path.read_bytes())
    whole[place : place + len(content)] = content
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        (0, b"\xff\xff\xff\x7f", "announces 3 x 5 x 2147483647 values behind 1024 bytes, more than its"),
        (0, b"\xff\xff\xff\xff", "announces 3 x 5 x -1 values"),
        (92, b"\xf0\xff\xff\xff", "more than its"),
        (12, b"\x04", "is MRC of mode 4, complex numbers; must be 0, 1, 2, 6 or 12"),
        (12, b"\x65", "is MRC of mode 101, packed values of 4 bits"),
        (208, b"PAM", "has no header of MRC 2014; write it anew"),
        (212, b"\0\0", "has no header of MRC 2014"),
    ],
)
def test_mrc_that_lies_is_refused_in_one_sentence(tmp_path: Path, place: int, content: bytes, said: str) -> None:
    path = spoilt(write_mrc(tmp_path / "a.mrc", STACK.astype("<i2")), place, content)
    with pytest.raises(DataError, match=rf"a\.mrc: .*{said}"):
        decode(path)


@pytest.mark.parametrize("suffix", ["dm3", "dm4"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"\x00\x00\x00\x14\x00\x00\x00\x04\x00\x00\x00\x69", b"\x00\x00\x00\x14\x00\x00\x00\x04\x7f\x00\x00\x69", ""),
        (b"%%%%", b"%%%&", "has a tag without a value"),
        (b"DataType", b"DataTxpe", "holds values of kind None"),
        (b"Dimensions", b"Dimensionz", r"has sides \[\]"),
        (b"ImageData", b"ImageDatu", "holds 0 pictures"),
    ],
)
def test_dm_that_lies_is_refused_in_one_sentence(
    tmp_path: Path, suffix: str, old: bytes, new: bytes, said: str
) -> None:
    path = write_dm(tmp_path / f"a.{suffix}", STACK.astype("<u2"))
    if suffix == "dm4" and not said:
        old, new = (b"".join(bytes(4) + part[i : i + 4] for i in (0, 4, 8)) for part in (old, new))
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(DataError, match=rf"a\.{suffix}: .*{said}") as caught:
        decode(path)
    assert "\n" not in str(caught.value) and OPERATOR not in str(caught.value)


def test_groups_in_groups_have_an_end(tmp_path: Path) -> None:
    writer = DMWriter(3)
    group = writer.group([])
    for _ in range(2000):
        group = writer.group([("a", group, True)])
    (tmp_path / "a.dm3").write_bytes(writer.file([])[:12] + group)
    with pytest.raises(DataError, match="or more than 32 groups in groups"):
        decode(tmp_path / "a.dm3")


@pytest.mark.parametrize("suffix", ["mrc", "dm4"])
def test_what_the_job_may_not_hold_is_not_read(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announced_size, "SMALL", 100)
    monkeypatch.setattr(announced_size, "job_memory", lambda: 100)
    with pytest.raises(DataError, match=r"takes .* at once"):
        decode(write(tmp_path / f"a.{suffix}", STACK.astype("<u2")))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mrc", "dm3"])
def test_micrographs_go_all_the_way(tmp_path: Path, suffix: str) -> None:
    """Frames of a speckle data set, whose range must be said; levels by hand."""
    frames = [RNG.normal(0, 1, (1, 120, 700)).astype("<f4") for _ in range(2)]
    (tmp_path / "set").mkdir()
    for number, frame in enumerate(frames):
        write(tmp_path / f"set/{number}.{suffix}", frame)
    asked = command_line(tmp_path, "inspect", "set", "--family", "speckle")
    assert asked.code == 2 and "say what is black and white" in " ".join((asked.stdout + asked.stderr).split())
    stated = ("--black", "-6", "--white", "6", "--track", "false")
    done = command_line(tmp_path, "import", "set", "--family", "speckle", *stated)
    assert done.code == 0, done.stdout + done.stderr
    ready = command_line(tmp_path, "prepare", "--family", "speckle", "--set", "prepare.size=32")
    assert ready.code == 0, ready.stdout + ready.stderr
    train = np.load(tmp_path / "artifacts/prepared/speckle/train.npy")
    assert train.dtype == np.uint16 and abs(float(train.mean()) / 65535 - 0.5) < 0.01
    levels = np.round((frames[0][0].astype(np.float64) + 6) / 12 * 65535)
    patches = {patch.tobytes() for patch in train[:, 0]}
    found = [levels[y : y + 32, x : x + 32].astype(np.uint16).tobytes() for y in range(89) for x in range(330)]
    assert patches & {*found}
    assert not any(
        OPERATOR.encode("utf-16-le") in one.read_bytes() for one in (tmp_path / "data").rglob("*.*") if one.is_file()
    )
