"""Which class a picture belongs to: the name of its folder or, where all lie in one folder, `[Class]_[Number]`."""

import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

from vaeforge.data.class_folders import is_normal
from vaeforge.data.images import SUFFIXES
from vaeforge.errors import DataError
from vaeforge.importing.images import Candidate, read_images
from vaeforge.importing.import_options import ImportOptions, usable_name
from vaeforge.importing.parsed_source import Content, Findings, listed, shown
from vaeforge.importing.walk_source import walk

LEAST_OF_CLASS = 3  # pictures: one to train, one to validate and one to test
NUMBERED = re.compile(r"(?P<label>.+)_\d+")


NAMELESS = "has no name of the form [Class]_[Number], and lies in no class folder"


def read_pictures(source: Path, options: ImportOptions, findings: Findings) -> Content:
    """Colour pictures in classes, one or more of them `normal` or `normal-…`.

    Raises:
        DataError: as `read_images`; or if there is no normal or no anomalous class.
    """
    candidates, empty = _by_class(source, findings, suffix="")
    renamed = [_renamed(candidate, options.normal) for candidate in candidates]
    names = {candidate.label for candidate in candidates} | set(empty)
    unknown = sorted(set(options.normal) - names)
    if unknown:
        raise DataError(f"--normal: got {', '.join(unknown)}, must be among the classes {', '.join(sorted(names))}")
    content = read_images(source, renamed, empty, grey=False, least=2, findings=findings)
    normal = {is_normal(row["class"]) for row in content.items}
    if normal != {True, False}:
        missing = "normal" if normal == {False} else "anomalous"
        raise DataError(
            f"{source}: no class is {missing} (classes {', '.join(sorted({row['class'] for row in content.items}))}); "
            "`normal` and `normal-…` are normal, all others anomalous: rename folders, or give --normal CLASS"
        )
    return content


def read_classes(source: Path, findings: Findings) -> Content:
    """Grey pictures in classes.

    Raises:
        DataError: as `read_images`.
    """
    candidates, empty = _by_class(source, findings, suffix=".png")
    content = read_images(source, candidates, empty, grey=True, least=LEAST_OF_CLASS, findings=findings)
    require_classes(source, len(content.summary))
    return content


def require_classes(source: Path, count: int) -> None:
    """Refuse fewer than two classes.

    Raises:
        DataError: with what makes a class.
    """
    if count < 2:
        raise DataError(
            f"{source}: has {count} class, must have at least 2; give a folder for each, or call the files "
            "[Class]_[Number]"
        )


def read_frames(source: Path, findings: Findings) -> Content:
    """Grey pictures in one folder.

    Raises:
        DataError: as `read_images`.
    """
    files, _ = walk(_folder(source), findings)
    candidates = []
    for path in _pictures(files, source, findings):
        if path.parent == source:
            candidates.append(Candidate(path, shown(path, source), "", Path(_composed(path.stem) + ".png")))
        else:
            findings.leave_out(shown(path, source), "lies in a folder of its own; frames lie in one folder")
    return read_images(source, candidates, (), grey=True, least=2, findings=findings)


def _by_class(source: Path, findings: Findings, suffix: str) -> tuple[list[Candidate], list[str]]:
    """The picture files with their classes, and the classes without any; `suffix` is the new one, empty: as it is."""
    files, folders = walk(_folder(source), findings)
    pictures = _pictures(files, source, findings)
    flat = [path for path in pictures if path.parent == source]
    if flat and len(flat) < len(pictures):
        raise DataError(
            f"{source}: {len(flat)} picture(s) lie beside class folders, must be in one of them; "
            f"move them: {listed([shown(path, source) for path in flat])}"
        )
    candidates = []
    for path in pictures:
        label = _composed(_from_name(path) if flat else path.parent.name)
        problem = usable_name(label) if label else NAMELESS
        if problem:
            findings.leave_out(shown(path, source), f"class {label!r} {problem}" if label else problem)
        else:
            target = Path(label) / (_composed(path.stem) + (suffix or path.suffix))
            candidates.append(Candidate(path, shown(path, source), label, target))
    # a folder is an empty class if nothing is below it, or only files that are no pictures
    known = {path.parent for path in pictures}
    barren = {*folders, *(path.parent for path in files)} - known - {source}
    leaves = [path for path in sorted(barren) if not any(other.is_relative_to(path) for other in known)]
    return candidates, [shown(path, source) for path in leaves]


def _folder(source: Path) -> Path:
    if not source.is_dir():
        raise DataError(f"{source}: is a file, must be a folder (or an archive) of pictures ({', '.join(SUFFIXES)})")
    return source


def _pictures(files: list[Path], source: Path, findings: Findings) -> list[Path]:
    """Files with a picture's suffix; the others go into the quarantine."""
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    for path in sorted(set(files) - set(pictures)):
        findings.leave_out(shown(path, source), f"its suffix is none of {', '.join(SUFFIXES)}")
    return pictures


def _from_name(path: Path) -> str:
    match = NUMBERED.fullmatch(path.stem)
    return match["label"] if match else ""


def _composed(name: str) -> str:
    """Unicode's composed form, in which names that look alike are alike."""
    return unicodedata.normalize("NFC", name)


def _renamed(candidate: Candidate, normal: Collection[str]) -> Candidate:
    """The candidate under `normal-<class>` if its class is called normal by the user."""
    if candidate.label not in normal or is_normal(candidate.label):
        return candidate
    label = f"normal-{candidate.label}"
    return Candidate(candidate.path, candidate.shown, label, Path(label) / candidate.target.name)
