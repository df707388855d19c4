"""Pictures in a folder per class: `normal` (or `normal-…`, as Kvasir has it), everything else is anomalous.

Each picture is squared by a centre crop and resized. Normal pictures are divided into train, validation and test, whole
pictures at a time, by a seed; anomalous ones are for the test, which takes no more normal pictures than there are
anomalous ones: the others train. Where there are no anomalous ones, its share of the normal pictures is the test. Each
picture is a group of its own unless `groups.csv` or near copies join several.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vaeforge.data.block_split import PARTS, TEST, TRAIN, VALIDATION, Index
from vaeforge.data.file_format import named_suffixes, suffixes_of
from vaeforge.data.group_rules import Grouping
from vaeforge.data.group_split import divide_groups
from vaeforge.data.images import COLOURS, open_picture, with_white
from vaeforge.data.label_values import ANOMALOUS_ITEM, NORMAL_ITEM
from vaeforge.data.large_arrays import Spool
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.data.layouts.pictures.split import Split
from vaeforge.data.near_copies import Thumbnail, grouping_of, thumbnail
from vaeforge.data.picture_file import READ_WHOLE
from vaeforge.data.picture_masks import NORMAL, UNKNOWN, Square, find_masks, read_mask, square_of
from vaeforge.data.picture_reading import PictureReading, reading_of
from vaeforge.data.pixels import Pixels
from vaeforge.data.resize import centre_of, crop_square
from vaeforge.data.side_by_side import in_order, or_error
from vaeforge.data.source_files import LEAK, READ, reject_duplicates
from vaeforge.errors import DataError
from vaeforge.paths import sha256_of
from vaeforge.progress import part
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
            raise DataError(f"{path}: holds no pictures ({named_suffixes('picture')}); remove it, or put some there")
        if _is_picture(path):
            if path.parent == folder:
                raise DataError(f"{path}: lies in no class folder; move it into one, say {folder / 'normal'}")
            classes.setdefault(path.parent.name, []).append(path)
    return classes


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in suffixes_of("picture") and path.is_file()


def read_folders(folder: Path, settings: PictureSettings, skip: set[Path]) -> Split:
    """The pictures of all class folders below `folder`, those in folders of `skip` left out.

    Raises:
        DataError: if the same picture occurs twice, a class has fewer than two, or normal ones cannot be divided.
    """
    with Spool() as squares:
        return _read_folders(folder, settings, skip, squares)


def _read_folders(folder: Path, settings: PictureSettings, skip: set[Path], squares: Spool) -> Split:
    classes = find_pictures(folder, skip)
    masks = find_masks([path for paths in classes.values() for path in paths], folder).of
    reading = reading_of(folder, settings)
    split = Split(reading=with_white(reading, [path for paths in classes.values() for path in paths], COLOURS))
    readable: dict[bool, list[tuple[Path, Thumbnail]]] = {True: [], False: []}
    digests: dict[Path, str] = {}
    given = {name: [path for path in paths if path not in masks] for name, paths in classes.items()}
    for name, paths in given.items():
        if not paths:
            continue
        items = []
        span = READ * len(paths) / sum(map(len, given.values()))
        with part(f"pictures of {name}", len(paths), span=span) as under_way:
            for path, found in _read(folder, paths, settings.size + settings.margin, split):
                squares.append(found.square)
                digests[path] = found.digest
                items.append((path, found.small))
                under_way.advance()
        if len(items) < 2:
            raise DataError(
                f"{folder}: class {name!r} has {len(items)} readable picture(s) of {len(paths)}, at least 2 are needed"
                + "".join(f"; {reason}" for reason in list(split.quarantined.values())[:3])
            )
        readable[is_normal(name)] += items
    if not any(readable.values()):
        return split
    keyed = ((digests[path], path.relative_to(folder).as_posix()) for items in readable.values() for path, _ in items)
    reject_duplicates(folder, f"picture(s) {LEAK}", keyed, "remove one of each")
    made = dict(zip(digests, squares.views(), strict=True))
    tested = _assign(split, folder, readable[True], readable[False], made, settings)
    if masks and readable[False]:
        of = {picture: mask for mask, picture in masks.items()}
        split.masks = [_square(split, folder, path, of.get(path), settings) for path in tested]
    return split


def _square(split: Split, folder: Path, path: Path, mask: Path | None, settings: PictureSettings) -> Square:
    """The mask of a test picture: without any, a normal one is normal all over, an anomalous one unknown."""
    if mask is None:
        known = NORMAL if is_normal(path.parent.name) else UNKNOWN
        return np.full((settings.size, settings.size), known, dtype=np.uint8)
    marked, picture = read_mask(mask), open_picture(path, reading=split.reading)
    size = picture.shape[1::-1]
    if marked.shape[::-1] != size:
        name = mask.relative_to(folder).as_posix()
        raise DataError(f"{folder}: mask {name} is {marked.shape[::-1]} pixels, must be {size}, as its picture")
    return square_of(marked, settings.size + settings.margin, settings.size)


@dataclass(frozen=True)
class _Read:
    """A readable picture: its square, width and height, the hash of its file, and a thumbnail of the square."""

    square: Pixels
    size: tuple[int, int]
    digest: str
    small: Thumbnail


def _read(folder: Path, paths: list[Path], side: int, split: Split) -> Iterator[tuple[Path, _Read]]:
    """The readable pictures of `paths`; `split` notes their sizes, and why others could not be read."""
    squared = in_order(or_error(partial(_squared, side, split.reading)), paths, lambda path: path)
    for path, found in zip(paths, squared, strict=True):
        name = path.relative_to(folder).as_posix()
        if isinstance(found, DataError):
            split.quarantined[name] = str(found)
            continue
        split.images.append(RawImage(name, path.parent.name, *found.size))
        yield path, found


def _squared(side: int, reading: PictureReading, path: Path) -> _Read:
    """The picture at `path` as a square."""
    try:
        content = path.read_bytes() if path.stat().st_size <= READ_WHOLE else None
        picture = open_picture(path, None if content is None else io.BytesIO(content), reading=reading)
        digest = sha256_of(path) if content is None else hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    square = crop_square(picture, side)
    return _Read(square, (picture.shape[1], picture.shape[0]), digest, thumbnail(square))


def _assign(
    split: Split,
    folder: Path,
    normal: list[tuple[Path, Thumbnail]],
    anomalous: list[tuple[Path, Thumbnail]],
    squares: Mapping[Path, Pixels],
    settings: PictureSettings,
) -> list[Path]:
    """Divide normal pictures by the seed, groups whole; put as many normal as anomalous ones, if any, into the test.

    Anomalous pictures of groups that train or validate are left out, or a person would be on both sides. Where the
    source's parts are kept, all pictures of its test are tested. These, in order, are returned.
    """
    items = normal + anomalous
    paths = [path.relative_to(folder).as_posix() for path, _ in items]
    grouping = grouping_of(folder, paths, [small for _, small in items])
    parts = _parts(folder, paths[: len(normal)], len(anomalous), grouping, settings)
    order = np.random.default_rng(settings.seed).permutation(len(normal))  # of the pictures in each part
    trained, validated, tested = ([index for index in order.tolist() if parts[index] == part] for part in range(3))
    split.validation = [centre_of(squares[normal[index][0]], settings.size) for index in validated]
    split.train = [squares[normal[index][0]] for index in trained]
    sizes = {image.name: (image.width, image.height) for image in split.images}
    split.train_sizes = {sizes[paths[index]] for index in trained}
    learned = {grouping.groups[paths[index]] for index in (*validated, *trained)}
    free = [number for number in range(len(normal), len(items)) if _is_free(paths[number], grouping, learned)]
    split.apart = len(anomalous) - len(free)
    most = len(free) if grouping.parts else len(tested)
    chosen = sorted(free[place] for place in np.random.default_rng(settings.seed + 1).permutation(len(free))[:most])
    for number in (*tested, *chosen):
        split.test.append(centre_of(squares[items[number][0]], settings.size))
        split.labels.append(NORMAL_ITEM if number < len(normal) else ANOMALOUS_ITEM)
        split.groups.append(grouping.groups[paths[number]])
    return [items[number][0] for number in (*tested, *chosen)]


def _is_free(path: str, grouping: Grouping, learned: set[str]) -> bool:
    """Whether an anomalous picture may be tested."""
    kept = grouping.parts is None or grouping.parts[path] == PARTS[TEST]
    return kept and grouping.groups[path] not in learned


def _parts(folder: Path, paths: list[str], anomalous: int, grouping: Grouping, settings: PictureSettings) -> Index:
    """The part of each normal picture, int64 [N]; `anomalous`: how many others there are."""
    count, own = len(paths), len({grouping.groups[path] for path in paths})
    test, validation = (round(share * count) for share in (settings.test, settings.validation))
    if anomalous:
        test = min(test, anomalous)
    if grouping.parts is None and (min(test, validation, count - test - validation) < 1 or own < len(PARTS)):
        raise DataError(
            f"{folder}: {count} normal picture(s) in {own} group(s) cannot be divided into train, validation and test "
            f"(shares {settings.validation} and {settings.test}); add more, in a folder called `normal`"
        )
    if grouping.parts or own < count:
        shares = settings.model_copy(update={"test": test / count} if grouping.parts is None else {})
        parts = divide_groups(paths, grouping, np.ones(count, dtype=np.int64), shares)
    else:  # each by itself
        parts = np.empty(count, dtype=np.int64)
        order = np.random.default_rng(settings.seed).permutation(count)
        parts[order] = np.repeat([TEST, VALIDATION, TRAIN], [test, validation, count - test - validation])
    return parts
