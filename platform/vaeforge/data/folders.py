"""Pictures in a folder per class: `normal` (or `normal-…`, as Kvasir has it), everything else is anomalous.

Each picture is squared by a centre crop and resized. Normal pictures are divided into train, validation and test, whole
pictures at a time, by a seed; anomalous ones are for the test. Each picture is a group of its own.
"""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from vaeforge.config import Prepare
from vaeforge.data.labels import ANOMALOUS_ITEM, NORMAL_ITEM
from vaeforge.data.pictures import SUFFIXES, open_picture
from vaeforge.data.source import Images, Split, centre
from vaeforge.errors import DataError


def is_normal(name: str) -> bool:
    """Whether a class folder of this name holds normal pictures."""
    return name.lower() == "normal" or name.lower().startswith("normal-")


def find_pictures(folder: Path) -> dict[str, list[Path]]:
    """The pictures below `folder` by the name of the folder that they lie in, sorted."""
    classes: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.parent != folder:
            classes.setdefault(path.parent.name, []).append(path)
    return classes


def read_folders(folder: Path, settings: Prepare, skip: set[Path]) -> Split:
    """The pictures of all class folders below `folder`, those in folders of `skip` left out.

    Raises:
        DataError: if the same picture is there twice, or one kind has too few of them to be split.
    """
    split = Split()
    readable: dict[bool, list[tuple[Path, Images]]] = {True: [], False: []}
    for name, paths in find_pictures(folder).items():
        for path in (p for p in paths if p.parent not in skip):
            try:
                side = settings.size + settings.margin
                readable[is_normal(name)].append((path, _square(path, side)))
            except DataError as error:
                split.quarantined[str(path.relative_to(folder))] = str(error)
    if not any(readable.values()):
        return split
    _refuse_twins(folder, [path for items in readable.values() for path, _ in items])
    _assign(split, folder, readable[True], readable[False], settings)
    return split


def _square(path: Path, side: int) -> Images:
    """A picture's centre square, resized to [3, side, side]."""
    picture = open_picture(path)
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    square = picture.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def _refuse_twins(folder: Path, paths: list[Path]) -> None:
    seen: dict[str, Path] = {}
    twins = []
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest in seen:
            twins.append(f"{seen[digest].relative_to(folder)} = {path.relative_to(folder)}")
        seen.setdefault(digest, path)
    if twins:
        raise DataError(
            f"{folder}: {len(twins)} picture(s) are there twice and could be in train and test at once; "
            f"remove one of each: {'; '.join(twins[:10])}"
        )


def _assign(
    split: Split,
    folder: Path,
    normal: list[tuple[Path, Images]],
    anomalous: list[tuple[Path, Images]],
    settings: Prepare,
) -> None:
    """Divide normal pictures by the seed; put as many normal as anomalous ones into the test."""
    order = np.random.default_rng(settings.seed).permutation(len(normal))
    test, validation = round(settings.test * len(normal)), round(settings.validation * len(normal))
    if min(test, validation, len(normal) - test - validation) < 1:
        raise DataError(
            f"{folder}: {len(normal)} normal picture(s) cannot be divided into train, validation and test "
            f"(shares {settings.validation} and {settings.test}); add more, in a folder called `normal`"
        )
    if not anomalous:
        raise DataError(
            f"{folder}: no readable anomalous picture; every class folder that is not `normal` counts as one"
        )
    shuffled = [normal[index] for index in order]
    split.validation = [centre(image, settings.size) for _, image in shuffled[test : test + validation]]
    split.train = [image for _, image in shuffled[test + validation :]]
    count = min(test, len(anomalous))
    chosen = np.random.default_rng(settings.seed + 1).permutation(len(anomalous))[:count]
    for label, items in ((NORMAL_ITEM, shuffled[:count]), (ANOMALOUS_ITEM, [anomalous[i] for i in sorted(chosen)])):
        for path, image in items:
            split.test.append(centre(image, settings.size))
            split.labels.append(label)
            split.groups.append(str(path.relative_to(folder)))
