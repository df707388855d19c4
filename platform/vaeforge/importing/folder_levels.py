"""Levels of a source's folders: which are classes, and which are of people or sites whose pictures belong together.

Without a word from the user the innermost folder is the class. Where it looks otherwise, or folders outside of it may
tell whose pictures these are, the question names the value of `--groups` that fits the folders that are there.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaeforge.data.group_rules import SUBJECT
from vaeforge.data.layouts.pictures.class_folders import is_normal
from vaeforge.errors import QuestionError
from vaeforge.importing.normal_names import resembles_normal
from vaeforge.importing.parsed_source import ImportLog

SHOWN = 3  # names of a level
DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class FolderLevels:
    """The folders of pictures that all lie equally deep; `names` are those of each level, the outermost first."""

    paths: tuple[tuple[str, ...], ...]
    names: tuple[tuple[str, ...], ...]

    @property
    def crossed(self) -> bool:
        """Whether a name of the innermost level stands in several folders."""
        return len(self.paths) > len(self.names[-1])

    @property
    def numbered(self) -> bool:
        """Whether the innermost names differ in their numbers, as people's do: `p01`, `p02`."""
        return 2 * len({DIGITS.sub("", name) for name in self.names[-1]}) <= len(self.names[-1])

    @property
    def classes(self) -> int | None:
        """The innermost level with a name like `normal`; none where there is none."""
        called = [level for level, names in enumerate(self.names) if any(map(_like_normal, names))]
        return called[-1] if called else None

    def option(self, classes: int) -> str:
        """The option that says that the level `classes` holds the classes."""
        outer, inner = _numbered("site", classes), _numbered("patient", len(self.names) - classes - 1)
        return "--groups " + "/".join([*outer, "class", *inner, "image"])

    def shown(self, level: int) -> str:
        """The first names of a level."""
        names = self.names[level]
        return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def levels_of(folders: Sequence[tuple[str, ...]]) -> FolderLevels | None:
    """The levels of the folders of pictures; none where these lie in one folder, or not equally deep."""
    paths = tuple(sorted(set(folders)))
    if len({len(path) for path in paths}) != 1 or len(paths[0]) < 2 or len({path[:-1] for path in paths}) < 2:
        return None
    return FolderLevels(paths, tuple(tuple(sorted(set(level))) for level in zip(*paths, strict=True)))


def ask_about_levels(source: Path, folders: Sequence[tuple[str, ...]], normal: Collection[str], log: ImportLog) -> str:
    """Ask what folders mean, where they may be of people or sites.

    Args:
        source: what is being read.
        folders: of each picture, the outermost first, without those of parts.
        normal: classes that the user calls normal.
        log: takes a question for which something can be assumed.

    Returns:
        The option to say if pictures of several folders would get one name; empty for none.

    Raises:
        QuestionError: if an outer level holds the classes, by its names.
    """
    levels = levels_of(folders)
    if levels is None:
        return ""
    inner, outer = levels.shown(-1), levels.shown(-2)
    innermost = levels.option(len(levels.names) - 1)
    sure = bool(set(normal) & set(levels.names[-1]))
    if not sure and levels.classes is not None and levels.classes < len(levels.names) - 1:
        raise QuestionError(
            f"{source}: are {levels.shown(levels.classes)} the classes, and the folders in them ({inner}) people, "
            f"slides or runs? Say {levels.option(levels.classes)} if so, --groups none if the innermost folders are "
            "the classes",
            groups=levels.option(levels.classes).removeprefix("--groups "),
        )
    sure = sure or levels.classes is not None
    if not levels.crossed and (sure or not levels.numbered):
        return ""
    if all(SUBJECT.search("/".join(path)) for path in levels.paths):
        return innermost  # BIDS names say whose they are
    if sure:
        log.ask(
            f"{source}: the classes {inner} lie in several folders ({outer}): are pictures in one of these of one "
            "site, person or slide, which must not be in two parts of the data? "
            f"Say {innermost} if so, --groups none if not",
            "each picture is by itself, unless its name tells whose it is",
        )
        return innermost
    outermost = levels.option(len(levels.names) - 2)
    log.ask(
        f"{source}: pictures lie in folders {outer}, and in these in {inner}: say {outermost} if {outer} are the "
        f"classes, {innermost} if {inner} are and pictures in one of {outer} belong together, "
        "--groups none if they do not",
        f"the innermost folders ({inner}) are the classes, and each picture is by itself",
    )
    return innermost


def _like_normal(name: str) -> bool:
    return is_normal(name) or resembles_normal(name)


def _numbered(what: str, count: int) -> list[str]:
    return [what] if count == 1 else [f"{what}{number}" for number in range(1, count + 1)]
