"""Pictures in a folder per class: `normal` (or `normal-…`, as Kvasir has it), everything else is anomalous.

Each picture is squared by a centre crop and resized. Normal pictures are divided into train, validation and test, whole
pictures at a time, by a seed; anomalous ones are for the test, which takes no more normal pictures than there are
anomalous ones: the others train. Each picture is a group of its own.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vaeforge.data.images import SUFFIXES, Images, open_picture
from vaeforge.data.label_values import ANOMALOUS_ITEM, NORMAL_ITEM
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.data.layouts.pictures.split import Split
from vaeforge.data.resize import centre_of, crop_square
from vaeforge.data.source_files import LEAK, reject_duplicates
from vaeforge.errors import DataError
from vaeforge.samples import RawImage


def is_normal(name: str) -> bool:
    """Whether a class folder of this name holds normal pictures."""
    return name.lower() == "normal" or name.lower().startswith("normal-")


def find_pictures(folder: Path, skip: set[Path]) -> dict[str, list[Path]]:
    """The pictures below `folder` by the name of the folder that they lie in, sorted.

    Folders of `skip` and whatever is hidden (its name or a folder's begins with a dot) are ignored.

    Raises:
        DataError: if a picture lies in no class folder, or a folder holds neither pictures nor folders.
    """
    classes: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.parent in skip or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_dir() and not any(_is_picture(inner) or inner.is_dir() for inner in path.iterdir()):
            raise DataError(f"{path}: holds no pictures ({', '.join(SUFFIXES)}); remove it, or put some there")
        if _is_picture(path):
            if path.parent == folder:
                raise DataError(f"{path}: lies in no class folder; move it into one, say {folder / 'normal'}")
            classes.setdefault(path.parent.name, []).append(path)
    return classes


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read_folders(folder: Path, settings: PictureSettings, skip: set[Path]) -> Split:
    """The pictures of all class folders below `folder`, those in folders of `skip` left out.

    Raises:
        DataError: if the same picture occurs twice, a class has fewer than two, or normal ones cannot be divided.
    """
    split = Split()
    readable: dict[bool, list[tuple[Path, Images]]] = {True: [], False: []}
    for name, paths in find_pictures(folder, skip).items():
        items = list(_read(folder, paths, settings.size + settings.margin, split))
        if len(items) < 2:
            raise DataError(
                f"{folder}: class {name!r} has {len(items)} readable picture(s) of {len(paths)}, at least 2 are needed"
                + "".join(f"; {reason}" for reason in list(split.quarantined.values())[:3])
            )
        readable[is_normal(name)] += items
    if not any(readable.values()):
        return split
    keyed = (
        (hashlib.sha256(path.read_bytes()).hexdigest(), path.relative_to(folder).as_posix())
        for items in readable.values()
        for path, _ in items
    )
    reject_duplicates(folder, f"picture(s) {LEAK}", keyed, "remove one of each")
    _assign(split, folder, readable[True], readable[False], settings)
    return split


def _read(folder: Path, paths: list[Path], side: int, split: Split) -> Iterator[tuple[Path, Images]]:
    """The readable pictures of `paths`, squared; `split` notes their sizes, and why others could not be read."""
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            picture = open_picture(path)
        except DataError as error:
            split.quarantined[name] = str(error)
            continue
        split.images.append(RawImage(name, path.parent.name, picture.width, picture.height))
        yield path, crop_square(picture, side)


def _assign(
    split: Split,
    folder: Path,
    normal: list[tuple[Path, Images]],
    anomalous: list[tuple[Path, Images]],
    settings: PictureSettings,
) -> None:
    """Divide normal pictures by the seed; put as many normal as anomalous ones into the test."""
    if not anomalous:
        raise DataError(f"{folder}: no anomalous pictures; every class folder that is not `normal` counts as one")
    order = np.random.default_rng(settings.seed).permutation(len(normal))
    test = min(round(settings.test * len(normal)), len(anomalous))
    validation = round(settings.validation * len(normal))
    if min(test, validation, len(normal) - test - validation) < 1:
        raise DataError(
            f"{folder}: {len(normal)} normal picture(s) cannot be divided into train, validation and test "
            f"(shares {settings.validation} and {settings.test}); add more, in a folder called `normal`"
        )
    shuffled = [normal[index] for index in order]
    split.validation = [centre_of(image, settings.size) for _, image in shuffled[test : test + validation]]
    split.train = [image for _, image in shuffled[test + validation :]]
    chosen = np.random.default_rng(settings.seed + 1).permutation(len(anomalous))[:test]
    for label, items in ((NORMAL_ITEM, shuffled[:test]), (ANOMALOUS_ITEM, [anomalous[i] for i in sorted(chosen)])):
        for path, image in items:
            split.test.append(centre_of(image, settings.size))
            split.labels.append(label)
            split.groups.append(str(path.relative_to(folder)))
