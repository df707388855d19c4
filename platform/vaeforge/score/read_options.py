"""Options of reading an input: as the imported source was read, unless a scoring is told otherwise."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vaeforge.config.layouts import layout_named
from vaeforge.data.hemispheres import JOINED
from vaeforge.data.mass_list import TIC
from vaeforge.data.source_reading import FIRST, SourceReading
from vaeforge.data.table_columns import AXES, LABELS
from vaeforge.errors import ConfigError, nearest
from vaeforge.package.contract import Contract
from vaeforge.package.inputs import reading_for


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How an input is read; what is not given is as the model's source was.

    Attributes:
        label: class of all items.
        pictures: what pictures are, see `pictures`.
        batch: items at a time.
        threads: that decode.
        white, black: range of pictures of more than 8 bits.
        pages: what the pages of a picture's file are.
        channels: those of pictures that are taken.
        columns: of points: which column of a table is x, y, z, section, hemisphere or donor.
        transposed: of series: whether arrays and texts are [voxels, timepoints].
        time_axis: of series: `first` or `last`, where NIfTI files have time.
        layer: of points: the layer of AnnData.
    """

    label: str | None
    pictures: str | None
    batch: int
    threads: int
    white: float | None = None
    black: float = 0.0
    pages: str = ""
    channels: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    transposed: bool | None = None
    time_axis: str = ""
    layer: str = ""

    def resume_key(self) -> dict[str, Any]:
        """All but the number of threads, as JSON has it: what a later session must have alike.

        What was not given of later options is not there, so that results begun before they existed say the same.
        """
        content = {**asdict(self), "channels": list(self.channels)}
        del content["threads"]
        later: dict[str, Any] = {
            "pages": "",
            "channels": [],
            "columns": {},
            "transposed": None,
            "time_axis": "",
            "layer": "",
        }
        return {name: given for name, given in content.items() if name not in later or given != later[name]}


def require_fitting(reading: ReadOptions, where: object, kind: str, contract: Contract) -> None:
    """Refuse options that would do nothing.

    Args:
        reading: what was given.
        where: the input, for messages.
        kind: of its files.
        contract: of the model.

    Raises:
        ConfigError: naming the first one that does not go with the model or the files.
    """
    layout = layout_named(contract.data)
    of_pictures = {
        "pictures": reading.pictures,
        "white": reading.white,
        "black": reading.black or None,
        "pages": reading.pages or None,
        "channels": ",".join(reading.channels) or None,
    }
    for name, given in of_pictures.items():
        if given is not None and kind != "pictures":
            raise ConfigError(f"--{name}: got {given!r}, but {where} holds {kind}; leave it out")
    if reading.columns and not (layout.raw_tables and kind in ("tables", "arrays")):
        raise ConfigError(f"--columns: names columns of tables of points, but {where} holds {kind} of {contract.data}")
    if reading.transposed is not None and not (layout.unnamed_arrays == "matrices" and kind in ("tables", "arrays")):
        raise ConfigError(f"--transposed: turns arrays of series, but {where} holds {kind} of {contract.data}")
    if reading.time_axis and not (layout.unnamed_arrays == "matrices" and kind == "volumes"):
        raise ConfigError(f"--time-axis: says where volumes have time, but {where} holds {kind} of {contract.data}")
    if reading.layer and not (layout.raw_tables and kind == "tables"):
        raise ConfigError(f"--layer: names a layer of a table of points, but {where} holds {kind} of {contract.data}")
    for name in reading.columns:
        if name not in (*AXES, *LABELS):
            allowed = ", ".join((*AXES, *LABELS))
            raise ConfigError(f"--columns: got {name}, must be among {allowed}{nearest(name, (*AXES, *LABELS))}")


def input_reading(reading: ReadOptions, contract: Contract) -> SourceReading:
    """How tables and arrays are read: as options say, else as the model's source was."""
    own = contract.source_reading or SourceReading()
    if reading.columns:
        own = replace(own, columns={**(own.columns or {}), **reading.columns})
    if reading.layer:
        own = replace(own, layer=reading.layer)
    if reading.time_axis:
        own = replace(own, time_axis=reading.time_axis)
    return own if reading.transposed is None else replace(own, transposed=reading.transposed)


def taken_over(reading: ReadOptions, kind: str, contract: Contract) -> list[str]:
    """What holds of an input as it did of the model's source, and which options say otherwise; a sentence each."""
    own = contract.source_reading or SourceReading()
    told = []
    noted = {name: column for name, column in (own.columns or {}).items() if name not in reading.columns}
    if noted and kind in ("tables", "arrays"):
        named = ", ".join(f"{name}={column}" for name, column in noted.items())
        told.append(f"columns {named} where a table has them, as at the import; --columns says otherwise")
    if own.transposed and reading.transposed is None and kind in ("tables", "arrays"):
        told.append("arrays are voxels x timepoints, as at the import; --transposed false says otherwise")
    if own.layer and not reading.layer and kind == "tables":
        told.append(f"layer {own.layer} of AnnData, as at the import; --layer says otherwise")
    if own.masses and kind == "tables":
        around = f" within {own.tolerance}" if own.tolerance else ""
        shares = ", in millionths of a spectrum's total" if own.normalise == TIC else ""
        told.append(f"channels of spectra are the sums{around} of their masses{shares}, as at the import")
    if own.hemispheres == JOINED:
        told.append("files of a left and a right hemisphere are one brain each, as at the import")
    if own.time_axis == FIRST and not reading.time_axis and kind == "volumes":
        told.append("time is the first axis, as at the import; --time-axis last says otherwise")
    if kind == "pictures" and contract.pictures is not None:
        told += _pictures_taken_over(reading, contract)
    return told


def _pictures_taken_over(reading: ReadOptions, contract: Contract) -> list[str]:
    own = reading_for(contract)
    found = {
        "pages": "" if reading.pages else own.pages,
        "channels": "" if reading.channels else ",".join(own.channels),
        "white": "" if reading.white is not None or own.white is None else f"{own.white:g}",
        "black": "" if reading.white is not None or not own.black else f"{own.black:g}",
    }
    named = ", ".join(f"{name} {value}" for name, value in found.items() if value)
    options = ", ".join(f"--{name}" for name, value in found.items() if value)
    return [f"{named}, as at the import; {options} to say otherwise"] if named else []
