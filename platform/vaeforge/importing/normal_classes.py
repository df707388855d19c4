"""Normal classes of pictures: told with counts, and asked about where names do not say which they are.

`normal` and `normal-…` are normal. Names such as `good`, `healthy` or `normal_pylorus` most often mean the same, but a
class that is taken for anomalous without a word spoils training, threshold and test; so nothing is written before
`--normal` has said which classes are meant. The same where no class is called normal, as in a folder of pictures
without classes: `--normal all` says that all of them are. Anomalous pictures need not be there.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from vaeforge.data.file_format import suffixes_of
from vaeforge.data.group_rules import without_part_folders
from vaeforge.data.label_values import ONLY_NORMAL
from vaeforge.data.layouts.pictures.class_folders import is_normal
from vaeforge.data.source_files import listed
from vaeforge.errors import DataError, QuestionError
from vaeforge.importing.image_layouts import ALL
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.normal_names import resembles_normal
from vaeforge.importing.parsed_source import ImportLog


def outer_folder(item: str) -> str:
    """The outermost folder of a picture that is no part's (train, validation, test); empty where it lies in none."""
    return next(iter(without_part_folders(item.split("/")[:-1])), "")


def called_normal(names: Collection[str], chosen: Collection[str], outer: Collection[str]) -> Collection[str]:
    """The classes, of all `names`, that `--normal` says are normal: `chosen`, or each where that is `all`.

    Raises:
        DataError: if one of them is not there, or one of several `outer` folders is called `all`.
    """
    if ALL in chosen and ALL in outer and len(set(outer)) > 1:
        raise DataError(f"--normal: got {ALL}, which means every class, but one is called {ALL}; rename that class")
    unknown = sorted(set(chosen) - {*names, ALL})
    if unknown:
        known = ", ".join(sorted(names))
        raise DataError(f"--normal: got {', '.join(unknown)}, must be among the classes {known}, or {ALL}")
    return names if ALL in chosen else chosen


def ask_about_normal(source: Path, labels: Collection[str], nameless: Collection[str], chosen: Collection[str]) -> None:
    """Ask which classes are normal where names leave it open and `chosen` does not say.

    Args:
        source: what is being read.
        labels: the class of each picture.
        nameless: pictures without one.
        chosen: classes that the user calls normal.

    Raises:
        QuestionError: naming the classes with their counts, and the answers.
    """
    unclear = sorted({name for name in labels if resembles_normal(name)})
    known = sorted({name for name in labels if is_normal(name)})
    if chosen or not (labels or nameless):
        return
    if unclear:
        raise QuestionError(_resembling(source, labels, unclear, known), normal=(*known, *unclear))
    if not known:
        raise QuestionError(_nothing_normal(source, labels, nameless), normal=(ALL,))


def _resembling(source: Path, labels: Collection[str], unclear: list[str], known: list[str]) -> str:
    asked = _counted([name for name in labels if name in unclear])
    certain = f", as {', '.join(known)} are" if known else ""
    no = f"`--normal {','.join(known)}` if they are anomalous" if known else "rename them if they are anomalous"
    return (
        f"{source}: are the pictures of {asked} normal{certain}? By their names they count as anomalous: `normal` and "
        f"`normal-…` alone are normal; give `--normal {','.join([*known, *unclear])}` if they are, {no}"
    )


def _nothing_normal(source: Path, labels: Collection[str], nameless: Collection[str]) -> str:
    what = [f"classes {_counted(labels)}"] if labels else []
    what += [f"{len(nameless)} whose names tell no class: {listed(sorted(nameless))}"] if nameless else []
    some = "`--normal CLASS,…` if those of some classes are, " if len(set(labels)) > 1 else ""
    return (
        f"{source}: are all {len(labels) + len(nameless)} pictures normal ({'; '.join(what)})? Models learn from "
        f"normal pictures, and no class is called `normal` or `normal-…`; give `--normal {ALL}` if they are, {some}"
        "else put the normal ones into a folder `normal`"
    )


def confirm_only_normal(
    source: Path, labels: Collection[str], outer: Collection[str], options: ImportOptions, log: ImportLog
) -> None:
    """Ask, of pictures that all count as normal, about others that are left out and about folders that may be people's.

    Args:
        source: what is being read.
        labels: the class of each picture.
        outer: its outermost folder, of pictures that lie in any.
        options: what the user says of normal classes and groups.
        log: of what is left out; takes the questions.
    """
    others = [entry for entry in log.quarantined if Path(entry.item).suffix.lower() in suffixes_of("picture")]
    if others:
        log.ask(
            f"{source}: the pictures of {_counted(labels)} are normal, and {len(others)} are left out: "
            f"{listed([f'{entry.item} {entry.reason}' for entry in others])}; give `--normal {ALL}` if these are "
            "normal, too, else put each picture into a folder of its class",
            "no picture is anomalous",
        )
    unnamed = [name for name in outer if not is_normal(name)]
    if ALL in options.normal and len(set(unnamed)) > 1 and not (options.groups or options.group_column):
        log.ask(
            f"{source}: are the folders {_counted(unnamed)} people, slides or films? Pictures of one must not be in "
            "two parts of the data: give `--groups '^([^/]+)/'` if they are, `--groups none` if they are not",
            "each picture is by itself, unless its name tells whose it is",
        )


def tell_normal(labels: Iterable[str], log: ImportLog) -> None:
    """Note which classes count as normal and which as anomalous, with their counts."""
    known = list(labels)
    normal, others = ([name for name in known if is_normal(name) == kind] for kind in (True, False))
    log.notes.append(f"normal: {_counted(normal)}; anomalous: {_counted(others) or f'none; {ONLY_NORMAL}'}")


def _counted(labels: Iterable[str]) -> str:
    """The classes with the number of their pictures."""
    return ", ".join(f"{name} ({count})" for name, count in sorted(Counter(labels).items()))
