"""HDF5 files that are sound as such, in which something is not what it should be: for readers of what lies in them."""

from collections.abc import Callable, Sequence
from typing import Any

import h5py
import numpy as np
from hypothesis import strategies as st

ATTRIBUTES: tuple[Any, ...] = (
    *("", "x", "/", "/X", "_index", "dataframe", "csr_matrix", "csc_matrix", "categorical", "nullable-integer"),
    *(0, -1, 2.5, True, np.array([3, -1]), np.array([[1]]), np.array(["x", "x"], dtype=object)),
    *(np.array([30_000_000, 4]), h5py.Empty("f")),
)
VALUES: tuple[Any, ...] = (
    *("x", 3, -1.0, True, b"\xff", np.zeros(0), np.zeros((2, 0)), np.arange(3), np.full(8, 99), np.full(8, -99)),
    *(np.zeros((8, 2, 2)), np.ones(8, np.complex64), np.zeros(8, [("r", "f4"), ("i", "f4")]), np.full((8, 2), np.nan)),
    np.array(["a", "b"] * 4, dtype=object),
)
HUGE = 30_000_000  # values that a data set announces and does not hold: 240 MB


@st.composite
def odd_hdf5(draw: Callable[..., Any], seeds: Sequence[bytes]) -> bytes:
    """One of `seeds`, after one to three changes of what is in it."""
    seed = draw(st.sampled_from(seeds))
    with h5py.File.in_memory(seed) as file:
        for _ in range(draw(st.integers(1, 3))):
            places: list[str] = []
            file.visit(places.append)
            if places:
                _change(draw, file, draw(st.sampled_from(sorted(places))))
        file.flush()
        return bytes(file.id.get_file_image())


def _change(draw: Callable[..., Any], file: Any, place: str) -> None:
    """Remove or replace the group or data set at `place`, or one of its attributes."""
    kind = draw(st.sampled_from(("remove", "value", "value", "huge", "group", "attribute", "attribute", "bare")))
    item = file[place]
    if kind in ("attribute", "bare") and len(item.attrs):
        name = draw(st.sampled_from(sorted(item.attrs)))
        del item.attrs[name]
        if kind == "attribute":
            item.attrs[name] = draw(st.sampled_from(ATTRIBUTES))
        return
    del file[place]
    if kind == "group":
        file.create_group(place)
    elif kind == "huge":
        file.create_dataset(place, (HUGE,), np.float64, chunks=(1000,))
    elif kind != "remove":
        file[place] = draw(st.sampled_from(VALUES))
