"""Files as `vaeforge score` reads them, some rows at a time: what is damaged is an item with a reason, no exception."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from format_files import SERIES, VOLUME
from fuzz.format_parsers import format_parser
from fuzz.parser import Parser
from serving import write_bundle
from vaeforge.data.file_format import FORMATS
from vaeforge.data.hemispheres import JOINED
from vaeforge.data.source_reading import SourceReading
from vaeforge.data.voxels import SourceVoxels, grid_of
from vaeforge.package.contract import CONTRACT, Contract, read_contract
from vaeforge.score.files import find, reader_of
from vaeforge.score.read_options import ReadOptions

BATCH = 3


@cache
def contract_for(content: str) -> Contract:
    """Of a model that takes such files: pictures, tables of points with the channels a and b, or series."""
    with tempfile.TemporaryDirectory() as folder:
        found = read_contract(write_bundle(Path(folder)) / CONTRACT)
    if content == "picture":
        return found
    if content == "table":
        channels, places = ("a", "b"), ("x", "y", "z")
        return replace(found, data="points", prepare={}, event_shape=(2,), channels=channels, condition=places)
    if content == "series":
        return replace(found, data="series", prepare={}, event_shape=(SERIES.shape[1],))
    grid = grid_of(np.ones(VOLUME.shape[:3], dtype=np.bool_), np.eye(4))
    voxels = int(np.prod(VOLUME.shape[:3]))
    return replace(found, data="series", prepare={}, event_shape=(voxels,), source_voxels=SourceVoxels(grid))


def score_parser(name: str, content: str) -> Parser:
    parser, contract = format_parser(name), contract_for(content)
    options = ReadOptions(label=None, pictures=None, batch=BATCH, threads=1)

    def items(path: Path, wanted: Contract = contract) -> None:
        for batch in reader_of(find(path), wanted, options).batches((0, 0)):
            batch.x.sum()

    def hemispheres(path: Path) -> None:
        """A surface among volumes, which is read as a series where its other hemisphere lies beside it."""
        with tempfile.TemporaryDirectory() as folder:
            for side in ("lh", "rh"):
                (Path(folder) / f"a.{side}{path.suffix}").write_bytes(path.read_bytes())
            items(Path(folder), both)

    if content == "series" and FORMATS.named(name).reads("volume"):
        sides = (2 * SERIES.shape[1],)
        both = replace(contract, event_shape=sides, source_reading=SourceReading(hemispheres=JOINED))
        return Parser(parser.file, hemispheres, parser.contents)

    return Parser(parser.file, items, parser.contents)


SCORE_PARSERS: dict[str, Parser] = {
    f"score of {name}, {content}": score_parser(name, content)
    for name in FORMATS.names()
    for content in ("picture", "series", "volume", "table")
    if FORMATS.named(name).reads(content)  # type: ignore[arg-type]
}
