"""Maps of several channels over points in space: a `.parquet` or `.csv` with x, y, z and a column per channel.

Read as `points`, a sample is the channels at one point and its condition the coordinates. Points that lie together
resemble each other, so whole blocks of a grid over the bounding box are divided, or whole sections; that unit is the
group of a test sample; where a column `donor` says whose point it is, whole donors are. Two points of a section at the
same place are refused. Points of different parts may still be neighbours across a block's border; whole sections keep
them a section's distance apart. Channels with values at fewer than a tenth of the points are dropped. Missing values
are kept as NaN; channels that have no value in a part are dropped, and points that have none at all.

Read as `maps`, a sample is one channel at all points; channels are divided, and each is a group. Channels have units of
their own, of which training on others tells nothing, so that each map is scaled by its own values, which is no leak
between maps; `info["scales"]` leads back. Missing values are kept here, too; points that have none in the training maps
are left out.

Shapes: N points, C channels; read as points, x float32 [n, C] in the units of the file (or their log(1 + x)) and
condition float32 [n, 3]; read as maps, x float32 [c, N] and the constant coordinates [N, 3].
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from vaeforge.config.layouts import Layout
from vaeforge.config.prepare import Prepare
from vaeforge.data.block_split import PARTS, TEST, TRAIN, Index, divide, grid_blocks
from vaeforge.data.large_arrays import blocks_of, extremes, give_back, room, taken
from vaeforge.data.missing import FILL, mean_of, spread_of
from vaeforge.data.points_file import LISTED, Labels, Mask, Matrix, Table, chosen_names, columns_of, opened
from vaeforge.data.source_files import data_files
from vaeforge.data.source_reading import source_reading_info
from vaeforge.data.table_columns import AXES, DONOR
from vaeforge.errors import DataError
from vaeforge.samples import DataSet, Samples

NOWHERE = -1  # the part of a point that is left out


class PointSettings(Prepare):
    """Maps of several channels over points in space."""

    reading: Annotated[
        Literal["points", "maps"],
        Field(description="a sample is the channels at one point, or one channel at all points"),
    ] = "points"
    blocks: Annotated[int, Field(ge=2, description="blocks along each axis, the unit of splits and intervals")] = 6
    sections: Annotated[bool, Field(description="hold out whole sections instead of blocks")] = False
    log1p: Annotated[bool, Field(description="take log(1 + value) first")] = False
    scaling: Annotated[
        Literal["standard", "minmax"], Field(description="of each channel, fitted on train; of each map, by itself")
    ] = "standard"

    @model_validator(mode="after")
    def _sections_divide_points(self) -> "PointSettings":
        if self.sections and self.reading == "maps":
            raise ValueError("sections: true divides points, reading: maps divides channels; set one of them otherwise")
        return self


def read(folder: Path, settings: PointSettings) -> DataSet:
    """The points below `folder`, or their maps.

    Raises:
        DataError: if there is no table or several, columns are missing or no numbers, two points are at one place, or
            there are too few blocks, sections or channels to divide.
    """
    path = _path(folder)
    whole = columns_of(path, opened(path), settings.sections)
    table = whole.observed()
    usable = _usable(path, table, settings)
    table = _logarithms(path, table.at(usable)) if settings.log1p else table.at(usable)
    _reject_shared_places(path, table)
    data = _maps(path, table, settings) if settings.reading == "maps" else _points(path, table, settings)
    unobserved = [name for name in whole.channels if name not in table.channels]
    info = data.info | {"dropped_channels": [*unobserved, *data.info["dropped_channels"]]}
    info |= source_reading_info(path.parent)
    kept = data.counts.get("points", sum(map(len, (data.train, data.validation, data.test))))
    counts = data.counts | {"rows": len(usable), "dropped_rows": len(usable) - kept}
    counts |= {"dropped_channels": len(info["dropped_channels"])} if unobserved else {}
    return replace(data, counts=counts, info=info)


def _usable(path: Path, table: Table, settings: PointSettings) -> Mask:
    """Which points [N] have a place, a value, and a donor or section to be divided by."""
    usable = np.asarray(np.isfinite(table.coordinates).all(axis=1) & _observed(table.values))
    for names in (table.sections if settings.sections else None, table.donors):
        if names is not None:
            usable &= names != ""
    if not usable.any():
        raise DataError(f"{path}: none of {len(usable)} rows has a number in every column; check the import")
    return usable


def _observed(values: Matrix, kept: Mask | None = None) -> Mask:
    """Which points of `values` [N, C] have a value in any channel, or in any of those that are kept [C]."""
    blocks = (block if kept is None else block[:, kept] for _, block in blocks_of(values))
    return np.concatenate([np.zeros(0, dtype=np.bool_), *(np.isfinite(block).any(axis=1) for block in blocks)])


def _path(folder: Path) -> Path:
    """The one table below `folder`; CSV counts where there is no parquet."""
    paths = data_files(folder, (".parquet",)) or data_files(folder, (".csv",))
    if len(paths) != 1:
        listed = ", ".join(path.relative_to(folder).as_posix() for path in paths[:LISTED])
        raise DataError(
            f"{folder}: got {len(paths)} tables ({listed or 'no .parquet, no .csv'}), must be 1; "
            + ("move the others away" if paths else "put one there, or run `vaeforge import`")
        )
    return paths[0]


def _logarithms(path: Path, table: Table) -> Table:
    low = np.fmin.reduce(table.values, axis=0)
    wrong = [f"{name} ({least:g})" for name, least in zip(table.channels, low, strict=True) if least <= -1]
    if wrong:
        raise DataError(f"{path}: `prepare.log1p` needs values > -1, got down to: {', '.join(wrong)}; turn it off")
    values = room(table.values.shape, np.float32)
    for place, block in blocks_of(table.values):
        values[place] = np.log1p(block)
        give_back(values)
    return replace(table, values=values)


def _reject_shared_places(path: Path, table: Table) -> None:
    """Two points of a section at one place could not be told apart; sections may have pixel grids of their own."""
    labels = [names for names in (table.sections, table.donors) if names is not None]
    members = [np.unique(names, return_inverse=True)[1] for names in labels]
    keys = np.column_stack([table.coordinates.astype(np.float64), *members])
    order = np.lexsort(tuple(keys.T))
    same = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
    if same.any():
        places = np.unique(table.coordinates[order[1:][same]], axis=0)[:LISTED].tolist()
        listed = "; ".join(", ".join(f"{value:g}" for value in place) for place in places)
        raise DataError(
            f"{path}: {int(same.sum())} point(s) are at the place of another of the same section; keep one at each "
            f"place, or name their sections in a column: {listed}"
        )


def _points(path: Path, table: Table, settings: PointSettings) -> DataSet:
    """Points as samples, divided by blocks or sections; those that have no value in any kept channel left out."""
    units, names = _units(path, table, settings)
    parts = divide(np.bincount(units, minlength=len(names)), settings.validation, settings.test, settings.seed)
    owner = parts[units]
    kept = _varying(path, table.values, owner)
    owner = np.where(_observed(table.values, kept), owner, NOWHERE)
    train, validation, test = (
        Samples(taken(table.values, owner == part, kept), table.coordinates[owner == part])
        for part in range(len(PARTS))
    )
    groups = [names[unit] for unit in units[owner == TEST].tolist()]
    counts = dict(zip(PARTS, map(len, (train, validation, test)), strict=True)) | {
        "test_groups": len(set(groups)),
        "channels": int(kept.sum()),
        "dropped_channels": int((~kept).sum()),
    }
    info = _info(table, settings) | {
        "channels": chosen_names(table.channels, kept),
        "dropped_channels": chosen_names(table.channels, ~kept),
        "units": {part: chosen_names(names, parts == number) for number, part in enumerate(PARTS)},
    }
    missing = _missing_counts([train.x, validation.x, test.x])
    counts |= missing
    constants = _value_constants(train.x, settings) | _place_constants(train.condition)
    constants |= {FILL: mean_of(train.x).astype(np.float32)} if missing else {}
    labels = np.zeros(len(groups), dtype=np.int64)
    return DataSet(train, validation, test, labels, groups, constants=constants, counts=counts, info=info)


def _units(path: Path, table: Table, settings: PointSettings) -> tuple[Index, list[str]]:
    """The donor, section or block of each point, and their names, at least three."""
    if table.donors is not None:
        units, names = _named_units(table.donors)
        what, remedy = DONOR, "import the data with --group-column none to divide them by place"
    elif settings.sections and table.sections is not None:
        units, names = _named_units(table.sections)
        what, remedy = "section", "turn off `prepare.sections`"
    else:
        units, names = grid_blocks(table.coordinates, settings.blocks)
        what, remedy = "block", f"raise `prepare.blocks` (now {settings.blocks})"
    if len(names) < len(PARTS):
        raise DataError(f"{path}: got {len(names)} {what}(s) with points, must be at least {len(PARTS)}; {remedy}")
    return units, names


def _named_units(labels: Labels) -> tuple[Index, list[str]]:
    found, members = np.unique(labels, return_inverse=True)
    return members.astype(np.int64), found.tolist()


def _missing_counts(parts: list[Matrix]) -> dict[str, int]:
    """For the counts: how many values of the parts are missing; nothing where none is."""
    count = sum(int(np.isnan(block).sum()) for part in parts for _, block in blocks_of(part))
    return {"missing_values": count} if count else {}


def _varying(path: Path, values: Matrix, owner: Index) -> Mask:
    """Which channels of `values` [N, C] vary over the training points, else they have no scale, and are in every part.

    `owner` [N] is the part of each point.
    """
    low, high = np.full((2, values.shape[1]), np.float32(np.nan))
    known = np.zeros((len(PARTS), values.shape[1]), dtype=np.bool_)
    for place, block in blocks_of(values):
        for part in range(len(PARTS)):
            own = block[owner[place] == part]
            known[part] |= np.isfinite(own).any(axis=0)
            if part == TRAIN and len(own):
                low, high = np.fmin(low, np.fmin.reduce(own, axis=0)), np.fmax(high, np.fmax.reduce(own, axis=0))
    kept: Mask = (high > low) & known.all(axis=0)
    if not kept.any():
        raise DataError(f"{path}: none of {len(kept)} channel(s) varies over the training points; check the import")
    return kept


def _value_constants(train: Matrix, settings: PointSettings) -> dict[str, Matrix]:
    """Statistics [C] of the training points; (x - mean) / std is the scaling that the settings ask for."""
    low, high = extremes(train)
    mean, std = (low, high - low) if settings.scaling == "minmax" else _moments(train, 0)
    return {"mean": mean, "std": std, "minimum": low, "maximum": high}


def _place_constants(places: Matrix) -> dict[str, Matrix]:
    """Centre and half extents [3] of the training points' bounding box; 1 along an axis without extent."""
    low, high = places.min(axis=0), places.max(axis=0)
    scale = (high - low) / 2
    return {"centre": (low + high) / 2, "scale": np.where(scale > 0, scale, 1).astype(np.float32)}


def _moments(values: Matrix, axis: int) -> tuple[Matrix, Matrix]:
    return mean_of(values, axis).astype(np.float32), spread_of(values, axis).astype(np.float32)


def _maps(path: Path, table: Table, settings: PointSettings) -> DataSet:
    """Channels as samples, each scaled by its own values; points without a value in any training map are left out."""
    low, high = (reduce(table.values, axis=0) for reduce in (np.fmin.reduce, np.fmax.reduce))
    channels, values = chosen_names(table.channels, high > low), table.values.T[high > low]
    if len(channels) < len(PARTS):
        raise DataError(
            f"{path}: got {len(channels)} channel(s) that vary, must be at least {len(PARTS)} to be read as maps; "
            "set `prepare.reading: points`"
        )
    moments = (low[high > low], (high - low)[high > low]) if settings.scaling == "minmax" else _moments(values, 1)
    scaled = (values - moments[0][:, None]) / moments[1][:, None]
    parts = divide(np.ones(len(channels), dtype=np.int64), settings.validation, settings.test, settings.seed)
    learned: Mask = np.asarray(np.isfinite(scaled[parts == TRAIN]).any(axis=0))
    if not learned.all():
        return _maps(path, table.at(learned), settings)
    train, validation, test = (Samples.unconditional(scaled[parts == part]) for part in range(len(PARTS)))
    names = {part: chosen_names(channels, parts == number) for number, part in enumerate(PARTS)}
    info = _info(table, settings) | {
        "channels": channels,
        "units": names,
        "dropped_channels": chosen_names(table.channels, high <= low),
        "scales": {name: [float(a), float(b)] for name, a, b in zip(channels, *moments, strict=True)},
    }
    counts = dict(zip(PARTS, map(len, (train, validation, test)), strict=True))
    missing = _missing_counts([train.x, validation.x, test.x])
    counts |= {"test_groups": len(test), "points": len(table.values)} | missing
    labels, constants = np.zeros(len(test), dtype=np.int64), {"coordinates": table.coordinates}
    constants |= {FILL: mean_of(train.x).astype(np.float32)} if missing else {}
    return DataSet(train, validation, test, labels, names["test"], constants=constants, counts=counts, info=info)


def _info(table: Table, settings: PointSettings) -> dict[str, Any]:
    sections = [] if table.sections is None else sorted(set(table.sections.tolist()) - {""})
    found = {"reading": settings.reading, "scaling": settings.scaling, "log1p": settings.log1p, "sections": sections}
    return found | ({} if table.coordinates[:, 2].any() else {"plane": True})


class PointsLayout(Layout):
    """Maps of several channels over points in space."""

    name = "points"
    settings = PointSettings
    condition_names = AXES
    map_tables = True
    raw_tables = True

    def read(self, folder: Path, settings: PointSettings) -> DataSet:
        return read(folder, settings)


LAYOUT = PointsLayout()
