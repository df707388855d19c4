"""AnnData in HDF5 as a table of points.

Read is only what a table needs: `X` or a layer, `obs`, `var`, and one array of `obsm`. Columns are x, y and, where the
places have three columns, z; `item`, the name of each observation; the columns of `obs`; the variables, which alone are
channels. A column of `obs` that is called as one of the others is `obs:<name>`.

Shapes: N observations, C variables; `X` and layers [N, C], places [N, 2] or [N, 3].
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vaeforge.data.anndata_file import element, members, read_frame, read_matrix
from vaeforge.data.announced_size import VALUES_LIMIT
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.hdf import DAMAGE
from vaeforge.data.source_files import listed
from vaeforge.data.table import Table, refuse_repeated
from vaeforge.data.table_columns import AXES
from vaeforge.errors import DataError, nearest

SPATIAL = "spatial"  # what scanpy and squidpy call the places
ITEM = "item"
SIDES = (2, 3)  # columns of places
BROKEN = (*DAMAGE, AttributeError, IndexError, OverflowError)


def read_anndata(path: Path, layer: str) -> Table:
    """The table; `layer` is read instead of `X` where it is given.

    Raises:
        DataError: if the file cannot be read or leads to another one, or lacks the layer.
    """
    try:
        with h5py.File(path, "r") as file:
            values = _values(path, file, layer)
            items, obs = read_frame(path, file, "obs")
            names, _ = read_frame(path, file, "var")
            key = _places_key(path, file)
            places = None if key is None else read_matrix(path, file, f"obsm/{key}").astype(np.float64)
            note = _note(path, file, key, places)
    except BROKEN as error:
        raise DamagedFileError(path, f"cannot be read as AnnData ({error or type(error).__name__})") from None
    sizes = {len(items), values.shape[0], *([] if places is None else [len(places)]), *map(len, obs.values())}
    if len(sizes) > 1 or values.shape[1] != len(names):
        shapes = f"values {values.shape}, {len(items)} observations and {len(names)} variables"
        raise DamagedFileError(path, f"has {shapes}, which do not fit together")
    axes = {} if places is None else {axis: places[:, place] for place, axis in enumerate(AXES[: places.shape[1]])}
    return _table(path, axes | {ITEM: np.array(items, dtype=object)}, obs, _channels(path, values, names), note)


def _values(path: Path, file: Any, layer: str) -> Any:
    """`X` or the layer [N, C], dense or sparse."""
    layers = members(path, file, "layers")
    if layer and layer not in layers:
        has = ", ".join(layers) or "no layers"
        raise DataError(f"{path}: --layer: has no {layer!r}, has {has}{nearest(layer, layers)}")
    if not layer and "X" not in file:
        raise DataError(f"{path}: has no X; say --layer NAME, has {', '.join(layers) or 'no layers'}")
    name = f"layers/{layer}" if layer else "X"
    item = element(path, file, name)
    shape = item.attrs.get("shape", ()) if isinstance(item, h5py.Group) else getattr(item, "shape", ())
    if math.prod(map(int, shape)) > VALUES_LIMIT:
        allowed = f"at most {VALUES_LIMIT} values are read; choose variables first"
        raise DamagedFileError(path, f"{name} is {tuple(map(int, shape))}, {allowed}")
    return read_matrix(path, file, name)


def _places_key(path: Path, file: Any) -> str | None:
    """Which array of `obsm` holds places; none where none is called so, and `obs` may have columns x and y."""
    called = [name for name in members(path, file, "obsm") if SPATIAL in name.lower()]
    shapes = {name: tuple(getattr(file[f"obsm/{name}"], "shape", ())) for name in called}
    fitting = [name for name, shape in shapes.items() if len(shape) == len(SIDES) and shape[1] in SIDES]
    if shapes and not fitting:
        named = listed([f"{name} {shape}" for name, shape in shapes.items()])
        raise DamagedFileError(path, f"obsm has {named}, must be [N, 2] or [N, 3]")
    if SPATIAL in fitting or len(fitting) < 2:
        return SPATIAL if SPATIAL in fitting else next(iter(fitting), None)
    raise DataError(f"{path}: obsm has several arrays of places, {', '.join(fitting)}; call the one meant {SPATIAL!r}")


def _note(path: Path, file: Any, key: str | None, places: NDArray[Any] | None) -> str:
    """Where places come from, in which unit."""
    if key is None or places is None:
        return f"no array of obsm is called {SPATIAL}; places are columns of obs"
    libraries = members(path, file, f"uns/{SPATIAL}") if SPATIAL in members(path, file, "uns") else []
    visium = any("scalefactors" in members(path, file, f"uns/{SPATIAL}/{name}") for name in libraries)
    meaning = "pixels of the full-resolution picture, y downwards" if visium else "in its own unit and direction"
    return f"places are obsm[{key!r}], {places.shape[1]} columns, {meaning}"


def _channels(path: Path, values: Any, names: list[str]) -> dict[str, NDArray[Any]]:
    """The variables [N] by name, sparse ones with their zeros."""
    refuse_repeated(path, names)
    if isinstance(values, np.ndarray):
        return {name: values[:, place] for place, name in enumerate(names)}
    packed = values.tocsc()
    return {name: packed[:, [place]].toarray().ravel() for place, name in enumerate(names)}


def _table(
    path: Path,
    special: Mapping[str, NDArray[Any]],
    obs: Mapping[str, NDArray[Any]],
    channels: Mapping[str, NDArray[Any]],
    note: str,
) -> Table:
    """All columns; `special` are places and names of observations."""
    clashing = sorted({*channels} & {*special})
    if clashing:
        raise DataError(f"{path}: variables are called {', '.join(clashing)}, as places and items are; rename them")
    labels = {f"obs:{name}" if name in {*special, *channels} else name: column for name, column in obs.items()}
    refuse_repeated(path, [*special, *labels, *channels])
    return Table({**special, **labels, **channels}, channels=tuple(channels), notes=(note,))
