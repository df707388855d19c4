"""Options that say how a source is meant: `import` and `inspect` take the same ones, and make the same of them."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Annotated, Any, Literal

from vaeforge.cli.option_types import (
    NO_PAIRS,
    NOT_NEGATIVE,
    PATH,
    TEXT,
    WORDS,
    OptionalInt,
    OptionalPath,
    OptionalStr,
    Words,
    choice,
)
from vaeforge.cli.options import (
    Black,
    Columns,
    Layer,
    Pages,
    TimeAxis,
    Transposed,
    White,
    Window,
)
from vaeforge.data.mass_list import mass_words
from vaeforge.importing.import_options import ImportOptions

OPTIONS = "options"

Normal = Annotated[Words, WORDS.option("images: classes that are normal, separated by commas; all: every one")]
Hemispheres = Annotated[
    Literal["joined", "apart"] | None,
    choice("joined", "apart").option("series: files of a left and a right hemisphere are one brain, or one each"),
]
DummyScans = Annotated[OptionalInt, NOT_NEGATIVE.option("series: timepoints at the beginning of each to leave out")]
Mask = Annotated[OptionalPath, PATH.option("series: NIfTI file of the voxels to keep")]
Channels = Annotated[
    Words,
    WORDS.option("points: columns that are channels, with commas; PC*, /regex/, !not; images: by number or name"),
]
Masses = Annotated[
    Words,
    WORDS.option("points, spectra (imzML): masses that are channels: m/z or NAME=m/z, a file with mz and name, or all"),
]
Tolerance = Annotated[OptionalStr, TEXT.option("points, spectra: how far a peak may lie from a mass, 5ppm or 0.01Da")]
Normalise = Annotated[
    Literal["none", "tic"] | None,
    choice("none", "tic").option("points, spectra: tic: millionths of the total of each", default="none"),
]
Groups = Annotated[
    OptionalStr,
    TEXT.option(
        "regular expression that finds an item's group in its name; images: or a table, or class/patient/image"
    ),
]
GroupColumn = Annotated[OptionalStr, TEXT.option("column of a table that names an item's group, such as donor")]
SampleSize = Annotated[
    OptionalStr,
    TEXT.option("images: pixels of a sample, a multiple of 16, or auto", default="prepare.size in params.yaml"),
]
Depth = Annotated[
    OptionalStr,
    TEXT.option("images: bits of a sample's value, 8, 16, or auto: 16 where they hold more than 8", default="auto"),
]
Duplicates = Annotated[OptionalStr, TEXT.option("images: refuse or drop exact copies", default="refuse")]
Rims = Annotated[
    OptionalStr, TEXT.option("images: ask about transparent parts that tell classes apart, or keep them", default="ask")
]
Split = Annotated[
    OptionalStr, TEXT.option("parts to keep: folders (train, test), a file with item and part, or a column")
]


def import_options(
    normal: Normal = (),
    groups: Groups = None,
    group_column: GroupColumn = None,
    split: Split = None,
    transposed: Transposed = None,
    time_axis: TimeAxis = None,
    hemispheres: Hemispheres = None,
    dummy_scans: DummyScans = None,
    mask: Mask = None,
    columns: Columns = NO_PAIRS,
    channels: Channels = (),
    layer: Layer = None,
    masses: Masses = (),
    tolerance: Tolerance = None,
    normalise: Normalise = None,
    white: White = None,
    black: Black = None,
    window: Window = None,
    depth: Depth = None,
    size: SampleSize = None,
    pages: Pages = None,
    duplicates: Duplicates = None,
    rims: Rims = None,
) -> ImportOptions:
    """How a source is read, out of the options of the command line."""
    return ImportOptions(
        normal=normal,
        groups=groups or "",
        group_column=group_column or "",
        split=split or "",
        transposed=transposed,
        time_axis=time_axis or "",
        hemispheres=hemispheres or "",
        dummy_scans=dummy_scans,
        mask=mask,
        columns=columns,
        channels=channels,
        layer=layer or "",
        masses=mass_words(masses),
        tolerance=tolerance or "",
        normalise=normalise or "",
        white=white,
        black=black or 0.0,
        window=window or "",
        depth=depth or "",
        size=size or "",
        pages=pages or "",
        duplicates=duplicates or "refuse",
        rims=rims or "ask",
    )


def with_source_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the options of `import_options` for its parameter `options`, in whose place they stand."""
    shared = signature(import_options).parameters

    @wraps(command)
    def called(**given: Any) -> None:
        options = import_options(**{name: given.pop(name) for name in shared})
        command(**given, **{OPTIONS: options})

    own = signature(command)
    parameters = [
        inner for one in own.parameters.values() for inner in (shared.values() if one.name == OPTIONS else (one,))
    ]
    vars(called)["__signature__"] = own.replace(parameters=parameters)
    return called
