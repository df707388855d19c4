"""Names of series whose files are called alike: their folders tell them apart (`sub-01/dr_stage1.txt`)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import PurePosixPath

from vaeforge.data.file_format import Matrix
from vaeforge.data.group_rules import SUBJECT
from vaeforge.data.hemispheres import joined, paired
from vaeforge.data.repeated_names import HEMISPHERE, differing
from vaeforge.data.source_files import listed
from vaeforge.errors import DataError
from vaeforge.importing.import_options import stem
from vaeforge.importing.measured_series import SubjectSeries
from vaeforge.importing.parsed_source import ImportLog
from vaeforge.importing.read_once import ReadOnce


def named_by_folders(subjects: Sequence[SubjectSeries], log: ImportLog) -> list[SubjectSeries]:
    """The series, those that have the name of their file and share it with others called as their folders are.

    The file's own name follows where one folder holds several of them, or where it names a subject itself.
    """
    counts = Counter(subject.name.casefold() for subject in subjects)
    alike = [one for one in subjects if counts[one.name.casefold()] > 1 and one.name == _of_file(one)]
    folders = dict(zip((one.shown for one in alike), _differing(alike), strict=True))
    shared = Counter(folder.casefold() for folder in folders.values())
    names = {}
    for one in alike:
        folder = folders[one.shown]
        alone = folder and shared[folder.casefold()] == 1 and not SUBJECT.search(one.name)
        names[one.shown] = folder if alone else "_".join(filter(None, (folder, one.name)))
    changed = [f"{names[one.shown]} ({one.shown})" for one in alike if names[one.shown] != one.name]
    if changed:
        log.notes.append(f"{len(changed)} series are named by their folders, as files share a name: {listed(changed)}")
    return [replace(one, name=names.get(one.shown, one.name)) for one in subjects]


def ask_about_hemispheres(subjects: Sequence[SubjectSeries], log: ImportLog) -> None:
    """Ask about series whose names differ in the hemisphere only, which would be two subjects of the same voxels."""
    found = differing([one.name for one in subjects], HEMISPHERE)
    pairs = [" = ".join(members) for members in found.values() if len(members) > 1]
    if pairs:
        log.ask(
            f"{len(pairs)} pair(s) of names differ in {HEMISPHERE.what} only: {listed(pairs)}; {HEMISPHERE.asked}",
            HEMISPHERE.assumed,
        )


def with_joined_hemispheres(subjects: Sequence[SubjectSeries], log: ImportLog) -> list[SubjectSeries]:
    """One series [T, V] for each left and right one whose names differ in the hemisphere only.

    Raises:
        DataError: if there is none; one that has no other goes into the quarantine.
    """
    pairs, others = paired([one.name for one in subjects])
    if not pairs:
        raise DataError(
            "--hemispheres joined: no two names differ in the hemisphere only (lh and rh, hemi-L and hemi-R); leave "
            f"it out, or rename: {listed([one.name for one in subjects])}"
        )
    for place in others:
        log.quarantine(subjects[place].shown, "its other hemisphere is not there, or its name does not say which it is")
    log.notes.append(f"{len(pairs)} series are the hemispheres of one brain each, the left one's vertices first")
    return [_joined(name, subjects[left], subjects[right]) for name, (left, right) in pairs.items()]


def _joined(name: str, left: SubjectSeries, right: SubjectSeries) -> SubjectSeries:
    both = joined(*(Matrix(one.load, one.voxels, one.oriented) for one in (left, right)))
    return replace(left, name=name or left.name, load=ReadOnce(both.load), voxels=both.voxels)


def _of_file(subject: SubjectSeries) -> str:
    return stem(PurePosixPath(subject.shown).name)


def _differing(subjects: Sequence[SubjectSeries]) -> list[str]:
    """The folders of each series that are not those of all, joined."""
    parts = [PurePosixPath(one.shown).parts[:-1] for one in subjects]
    levels = [level for level in zip_longest(*parts, fillvalue="") if len(set(level)) > 1]
    return ["_".join(filter(None, folders)) for folders in zip(*levels, strict=True)] or [""] * len(parts)
