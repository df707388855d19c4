"""Large arrays in files without a name: what is put there comes back, and what is written of them is the same."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaeforge.data import large_arrays, prepare
from vaeforge.data.file_format import is_surely_of_8_bits
from vaeforge.data.large_arrays import Spool, give_back, room, stacked

RNG = np.random.default_rng(0)


def test_what_is_put_into_a_mapped_array_stays_when_its_pages_are_given_back() -> None:
    array, values = room((50, 3, 4), np.uint16, large=1), RNG.integers(0, 2**16, (50, 3, 4), np.uint16)
    assert room((50, 3, 4), np.uint16).base is None and array.base is not None
    for place, row in enumerate(values):
        array[place] = row
        give_back(array)
    assert (array == values).all()
    give_back(values)  # of other arrays it does nothing


@pytest.mark.parametrize("large", [1, 2**26])
def test_stacks_are_those_of_numpy(large: int) -> None:
    items = [RNG.integers(0, 255, (3, 5, 5), np.uint8) for _ in range(9)]
    with Spool() as spool:
        assert spool.views() == []
        for item in items:
            spool.append(item)
        views = spool.views()
    made = stacked([view[:, 1:4] for view in views], large)
    assert made.dtype == np.uint8 and (made == np.stack(items)[:, :, 1:4]).all()
    for wrong in ([], [items[0], items[0][1:]]):
        with pytest.raises(ValueError):
            stacked(wrong, large)


def test_without_room_for_a_file_arrays_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(large_arrays.os, "posix_fallocate", full)
    assert room((4, 4), np.float32, large=1).base is None


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(40, 3), (5,), (0, 3), ()])
def test_prepared_arrays_have_the_bytes_of_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(large_arrays, "AT_ONCE", 64)  # several blocks
    array, expected = np.asarray(RNG.random(shape), dtype=np.float32, order=order), io.BytesIO()  # type: ignore[call-overload]
    np.save(expected, array)
    prepare._write_array(tmp_path / "x.npy", array)
    assert (tmp_path / "x.npy").read_bytes() == expected.getvalue()


@pytest.mark.parametrize(("name", "depth", "sure"), [("a.png", 8, True), ("a.png", 16, False), ("a.tif", 8, False)])
def test_headers_tell_pictures_of_8_bits(tmp_path: Path, name: str, depth: int, sure: bool) -> None:
    Image.fromarray(np.ones((4, 4), f"uint{depth}")).save(tmp_path / name)
    assert is_surely_of_8_bits(tmp_path / name) is sure
