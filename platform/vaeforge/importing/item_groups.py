"""Groups and parts of an import's pictures, by the rules that hold for all kinds of data (`data.group_rules`)."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vaeforge.data.group_rules import BY_ITSELF, Grouping, GroupRequest, group_items
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog

ONE_FILE = "frames of one file"


def grouped(
    items: Sequence[tuple[str, str]], tables: Sequence[Path], options: ImportOptions, log: ImportLog
) -> Grouping:
    """The groups of pictures by where they are written, and a note by which rule they were found.

    Args:
        items: of each picture where it is written and its file in the source, one for all frames of it.
        tables: of the source.
        options: what the user says of groups and parts.
        log: takes the note.

    Raises:
        ConfigError: if an option cannot be meant so.
        DataError: if an item is in no group, or a group in two parts; see `group_items`.
    """
    frames = Counter(name for _, name in items)
    request = GroupRequest(pattern=options.groups, column=options.group_column, split=options.split)
    found = group_items(list(frames), request, tables)
    groups = {
        target: target if found.groups[name] == name and frames[name] == 1 else found.groups[name]
        for target, name in items
    }
    parts = {target: found.parts[name] for target, name in items} if found.parts else None
    several = found.rule == BY_ITSELF and max(frames.values()) > 1
    grouping = Grouping(groups, ONE_FILE if several else found.rule, parts)
    if found.question:
        log.ask(found.question, found.assumed)
    if grouping.told:
        log.notes.append(grouping.described("pictures"))
    return grouping


def grouped_by_file(items: Sequence[tuple[str, str]], log: ImportLog) -> Grouping:
    """The groups of pictures whose names say nothing of groups: frames of one file are one."""
    frames = Counter(name for _, name in items)
    groups = {target: target if frames[name] == 1 else name for target, name in items}
    grouping = Grouping(groups, ONE_FILE if max(frames.values()) > 1 else BY_ITSELF)
    if grouping.told:
        log.notes.append(grouping.described("pictures"))
    return grouping
