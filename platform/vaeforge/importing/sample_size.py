"""Size of the samples that are made of imported pictures: proposed or stated, and kept with the data set."""

from typing import Any

from vaeforge.config.layouts import layout_named
from vaeforge.config.prepare import Prepare
from vaeforge.data.framing import STEP, Size
from vaeforge.errors import ConfigError
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog, ParsedSource

AUTO = "auto"


def sized(kind: str, content: ParsedSource, prepare: Prepare, options: ImportOptions, log: ImportLog) -> dict[str, Any]:
    """The settings of `prepare` that the data set is kept with, which are none unless a size is asked for.

    What crop and resize do to the pictures is noted.

    Args:
        kind: the layout.
        content: the source.
        prepare: the settings that hold otherwise; their size is the largest one that is proposed.
        options: with the size that is asked for.
        log: takes the notes.

    Raises:
        ConfigError: if the size is none, or samples of this kind have no size.
    """
    layout, sizes = layout_named(kind), picture_sizes(content)
    own: dict[str, Any] = {}
    if options.size:
        fitting = layout.fitting_size(sizes, prepare) if sizes else None
        if fitting is None:
            raise ConfigError(f"--size: got {options.size!r}, but samples of {kind} are no images; leave it out")
        own = layout.settings_of_size(fitting if options.size == AUTO else _stated(options.size))
        told = " and ".join(f"{name} {value}" for name, value in own.items())
        why = "the size nearest to that of the pictures" if options.size == AUTO else "as was asked"
        log.notes.append(f"prepare makes samples with {told} of them, {why}; kept with the data set")
    remark = layout.framing(sizes, with_settings(prepare, own)) if sizes and not content.cut else ""
    if remark:
        log.notes.append(remark)
    return own


def with_settings(prepare: Prepare, own: dict[str, Any]) -> Prepare:
    """`prepare` with the settings `own` in place of its own ones."""
    return type(prepare).model_validate({**prepare.model_dump(), **own})


def picture_sizes(content: ParsedSource) -> list[Size]:
    """Width and height of each picture; empty where items are none."""
    return [(int(row["width"]), int(row["height"])) for row in content.items if "width" in row]


def _stated(text: str) -> int:
    if not text.isdecimal() or int(text) < STEP or int(text) % STEP:
        raise ConfigError(f"--size: got {text!r}, must be {AUTO} or a multiple of {STEP}, from {STEP} on")
    return int(text)
