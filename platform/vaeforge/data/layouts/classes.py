"""Grey images of several classes: a folder per class, files `[Class]_[Number]` in one folder, or `images.npz`.

Each image becomes a square; the class is the condition, one-hot. Every class is divided by the seed in the same shares.
The independent block is the image: each test image is a group of its own. An image that occurs twice, under whatever
name or class, is refused, since it could train and test.

Shapes: N images, K classes; x uint8 or uint16 [N, 1, S, S]; condition float32 [N, K].
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vaeforge.config.layouts import Layout
from vaeforge.config.prepare import PicturePrepare, Side
from vaeforge.data.array_files import DAMAGE
from vaeforge.data.block_split import PARTS
from vaeforge.data.file_format import named_suffixes, suffixes_of
from vaeforge.data.framing import fitting_size, padded_remark
from vaeforge.data.grey_levels import WHITE, to_levels
from vaeforge.data.group_rules import Grouping
from vaeforge.data.group_split import divide_groups
from vaeforge.data.images import open_grey, with_white
from vaeforge.data.large_arrays import Spool, stacked
from vaeforge.data.near_copies import Thumbnail, grouping_of, thumbnail
from vaeforge.data.picture_reading import PictureReading, reading_of, to_plain
from vaeforge.data.pixels import Pixels, grey_of
from vaeforge.data.resize import fit_square
from vaeforge.data.side_by_side import in_order, or_error
from vaeforge.data.source_files import LEAK, READ, data_files, reject_duplicates
from vaeforge.errors import DataError
from vaeforge.progress import through
from vaeforge.samples import TRAIN_SIZES, DataSet, RawImage, Samples
from vaeforge.seeds import derive

LEAST = 3  # images of a class: one for each part
LISTED = 10
NUMBERED = re.compile(r"(?P<name>.+)_\d+")


class ClassSettings(PicturePrepare):
    """Grey images in a folder per class."""

    size: Side = 224
    fit: Annotated[
        Literal["pad", "squash"], Field(description="to the square: keep the aspect ratio by padding, or distort")
    ] = "pad"


@dataclass(frozen=True)
class Item:
    """An image that can be opened when it is needed: grey [H, W]; `path` of its file, if it has one of its own."""

    name: str
    label: str
    open: Callable[[], Pixels]
    path: Path | None = None


@dataclass(frozen=True)
class Checked:
    """A readable image and what one reading told: width by height, hash of the pixels, and a thumbnail."""

    item: Item
    size: tuple[int, int]
    digest: str
    small: Thumbnail


def read(folder: Path, settings: ClassSettings) -> DataSet:
    """The images below `folder`, squared and divided.

    Raises:
        DataError: if the layout is none of the three or several, an image occurs twice, there are fewer than two
            classes, or a class has fewer than three readable images.
    """
    reading = reading_of(folder, settings)
    items, names, reading = _items(folder, reading)
    quarantined: dict[str, str] = {}
    images: list[Checked] = []
    with Spool() as spool:
        opened = in_order(or_error(partial(_opened, settings)), items, lambda item: item.path)
        for item, found in zip(through(items, "reading images", READ), opened, strict=True):
            if isinstance(found, DataError):
                quarantined[item.name] = str(found)
                continue
            checked, square = found
            images.append(checked)
            spool.append(square)
        views = spool.views()
    keyed = ((image.digest, image.item.name) for image in images)
    reject_duplicates(folder, f"image(s) {LEAK}", keyed, "remove one of each")
    _require_enough(folder, images, names, quarantined)
    grouping = grouping_of(folder, [image.item.name for image in images], [image.small for image in images])
    parts = _divided([image.item for image in images], grouping, settings)
    _require_parts(folder, images, parts, names, grouping.count)
    places = [np.flatnonzero(parts == part).tolist() for part in range(len(PARTS))]
    chosen = [[images[place] for place in own] for own in places]
    test = [image.item for image in chosen[2]]
    tested = [grouping.groups[item.name] for item in test]
    train, validation, squares = (_samples([images[n] for n in own], [views[n] for n in own], names) for own in places)
    return DataSet(
        train,
        validation,
        squares,
        labels=np.array([names.index(item.label) for item in test], dtype=np.int64),
        groups=tested,
        counts=dict(zip(PARTS, map(len, chosen), strict=True))
        | {"test_groups": len(set(tested)), "classes": len(names)},
        info=_info(names, chosen)
        | {"pictures": to_plain(reading), "groups": grouping.count}
        | _framed([image.size for image in images], settings),
        quarantined=quarantined,
        images=[RawImage(image.item.name, image.item.label, *image.size) for image in images],
    )


def _items(folder: Path, reading: PictureReading) -> tuple[list[Item], list[str], PictureReading]:
    """Every image, in whichever layout, the names of the classes in order, and how they are read, with their white."""
    archives, pictures = data_files(folder, (".npz",)), data_files(folder, suffixes_of("picture"))
    if len(archives) + bool(pictures) > 1:
        listed = ", ".join(path.relative_to(folder).as_posix() for path in archives)
        raise DataError(
            f"{folder}: holds {len(archives)} archive(s) ({listed}) and {len(pictures)} image file(s), must be one "
            "archive, or images; move the others away"
        )
    if archives:
        return *_archived(archives[0], reading.depth), reading
    if not pictures:
        raise DataError(
            f"{folder}: holds neither images.npz nor images ({named_suffixes('picture')}); put some "
            "there, in a folder per class, or run `vaeforge import`"
        )
    reading = with_white(reading, pictures, most=1)
    items = _filed(folder, pictures, reading)
    return items, sorted({item.label for item in items}), reading


def _filed(folder: Path, paths: list[Path], reading: PictureReading) -> list[Item]:
    """Images by the folder that they lie in, or by their names where they lie in one."""
    parents = sorted({path.parent for path in paths})
    roots = sorted({parent.parent for parent in parents})
    if len(parents) == 1:
        labels = _labels_in_names(paths)
    elif len(roots) == 1:
        labels = [path.parent.name for path in paths]
    else:
        listed = ", ".join(parent.relative_to(folder).as_posix() for parent in parents[:LISTED])
        raise DataError(
            f"{folder}: images lie in {listed}, must lie in class folders beside one another, or all in one folder; "
            "several data sets would be mixed; move the others away"
        )
    return [
        Item(path.relative_to(folder).as_posix(), label, partial(open_grey, path, reading), path)
        for path, label in zip(paths, labels, strict=True)
    ]


def _labels_in_names(paths: list[Path]) -> list[str]:
    matches = [NUMBERED.fullmatch(path.stem) for path in paths]
    wrong = [path.name for path, match in zip(paths, matches, strict=True) if not match]
    if wrong:
        raise DataError(
            f"{paths[0].parent}: {len(wrong)} of {len(paths)} images in one folder are not called [Class]_[Number] "
            f"({', '.join(wrong[:LISTED])}); rename them, or sort them into a folder per class"
        )
    return [match["name"] for match in matches if match]


def _archived(path: Path, depth: int) -> tuple[list[Item], list[str]]:
    """The images of an archive: `images` uint8 [N, H, W], `labels` integers [N], `classes` text [K]."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            images, labels, classes = (archive[name] for name in ("images", "labels", "classes"))
    except DAMAGE as error:
        raise DataError(
            f"{path}: cannot be read as an archive with `images`, `labels` and `classes`, without pickled objects "
            f"({error}); run `vaeforge import` again"
        ) from None
    _require_consistent(path, images, labels, classes)
    names = [str(name) for name in classes]
    items = [
        Item(f"{path.stem}/{number}", names[label], partial(to_levels, images[number], 0, WHITE, depth=depth))
        for number, label in enumerate(labels.tolist())
    ]
    return items, names


def _require_consistent(path: Path, images: NDArray[Any], labels: NDArray[Any], classes: NDArray[Any]) -> None:
    problems = []
    if images.dtype != np.uint8 or images.ndim != 3 or 0 in images.shape:
        problems.append(f"`images` is {images.dtype} {images.shape}, must be uint8 [N, H, W]")
    if classes.dtype.kind != "U" or classes.ndim != 1 or len(set(classes.tolist())) < len(classes):
        problems.append(f"`classes` is {classes.dtype} {classes.shape}, must be different names [K]")
    elif labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        problems.append(f"`labels` is {labels.dtype} {labels.shape}, must be integers [{len(images)}]")
    elif labels.min(initial=0) < 0 or labels.max(initial=0) >= len(classes):
        problems.append(f"`labels` is {labels.min()} to {labels.max()}, must be 0 to {len(classes) - 1}")
    if problems:
        raise DataError(f"{path}: {'; '.join(problems)}; run `vaeforge import` again")


def _opened(settings: ClassSettings, item: Item) -> tuple[Checked, Pixels]:
    """What one reading of an image tells, and its square."""
    image = item.open()
    size = (image.shape[1], image.shape[0])
    digest = hashlib.sha256(repr(size).encode() + image.tobytes()).hexdigest()
    return Checked(item, size, digest, thumbnail(image)), fit_square(image, settings.size, settings.fit)


def _require_enough(folder: Path, images: list[Checked], names: list[str], quarantined: dict[str, str]) -> None:
    labels = [image.item.label for image in images]
    counts = {name: labels.count(name) for name in names}
    reasons = "".join(f"; {reason}" for reason in list(quarantined.values())[:3])
    if len(names) < 2:
        raise DataError(f"{folder}: got the class(es) {names}, must be at least 2; add a folder for each{reasons}")
    if min(counts.values()) < LEAST:
        raise DataError(
            f"{folder}: got readable images per class {counts}, must be at least {LEAST} each, one to train, one to "
            f"validate and one to test; add images, or remove the class{reasons}"
        )


def _require_parts(
    folder: Path, images: list[Checked], parts: NDArray[np.int64], names: list[str], groups: int
) -> None:
    """Refuse groups that leave a class without images in a part."""
    held = {(image.item.label, PARTS[part]) for image, part in zip(images, parts.tolist(), strict=True)}
    missing = [f"{name} has none for {part}" for name in names for part in PARTS if (name, part) not in held]
    if missing:
        raise DataError(
            f"{folder}: {len(images)} images in {groups} groups, which stay together, cannot be divided: "
            f"{'; '.join(missing[:LISTED])}; add images of other groups"
        )


def _divided(items: list[Item], grouping: Grouping, settings: ClassSettings) -> NDArray[np.int64]:
    """The part of each image; each class by a seed of its own, so that other classes do not change its division.

    Where images belong together, or the source's parts are kept, groups are divided, all classes at once.
    """
    labels = [item.label for item in items]
    if grouping.joins or grouping.parts:
        members = np.array([[label == name for name in sorted(set(labels))] for label in labels], dtype=np.int64)
        return divide_groups([item.name for item in items], grouping, members, settings)
    known, parts = np.array(labels), np.zeros(len(labels), dtype=np.int64)
    for name in sorted(set(labels)):
        members = np.flatnonzero(known == name)
        order = members[np.random.default_rng(derive(settings.seed, "classes", name)).permutation(len(members))]
        test = min(max(1, round(settings.test * len(members))), len(members) - 2)
        validation = min(max(1, round(settings.validation * len(members))), len(members) - 1 - test)
        parts[order[:test]], parts[order[test : test + validation]] = 2, 1
    return parts


def _samples(images: list[Checked], squares: list[Pixels], names: list[str]) -> Samples:
    """Squares [S, S] and one-hot classes."""
    condition = np.zeros((len(images), len(names)), dtype=np.float32)
    for row, image in enumerate(images):
        condition[row, names.index(image.item.label)] = 1
    return Samples(stacked([square[None] for square in squares]), condition)


def _info(names: list[str], chosen: list[list[Checked]]) -> dict[str, Any]:
    """Names of the classes, how many images each part has of them, and width / height of the training images."""
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for image in chosen[0]:
        ratios[image.item.label].append(round(image.size[0] / image.size[1], 4))
    sizes = [list(size) for size in sorted({image.size for image in chosen[0]})]
    counts = {
        name: {part: sum(image.item.label == name for image in some) for part, some in zip(PARTS, chosen, strict=True)}
        for name in names
    }
    return {"classes": names, "aspect_ratios": ratios, "counts": counts, TRAIN_SIZES: sizes}


def _framed(sizes: list[tuple[int, int]], settings: ClassSettings) -> dict[str, str]:
    remark = LAYOUT.framing(sizes, settings)
    return {"framing": remark} if remark else {}


class ClassesLayout(Layout):
    """Grey images of several classes."""

    name = "classes"
    settings = ClassSettings
    picture_modes = ("whole", "sample")
    condition_is_class = True
    unnamed_arrays = "images"

    def read(self, folder: Path, settings: ClassSettings) -> DataSet:
        return read(folder, settings)

    def fitting_size(self, sizes: Sequence[tuple[int, int]], settings: ClassSettings) -> int:
        return fitting_size([max(size) for size in sizes], settings.size)

    def framing(self, sizes: Sequence[tuple[int, int]], settings: ClassSettings) -> str:
        return padded_remark(sizes, settings.size, self.fitting_size(sizes, settings))

    def sample_of(self, picture: Pixels, side: int, prepare: Mapping[str, Any]) -> Pixels:
        return fit_square(grey_of(picture), side, prepare["fit"])[None]


LAYOUT = ClassesLayout()
