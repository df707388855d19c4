"""Grey images of one texture, cut into patches.

The columns of every image are divided into three strips, train | validation | test, by shares of its width; a patch
lies wholly within its strip. Frames that show the same field have the same strips; images of other sizes are taken for
other specimens. A specimen under load moves from frame to frame, and with it the same texture would cross the border:
`gap` columns between strips are left out, and must be at least as many as it moves. The independent block of the test
is a square of `size` pixels of the field: patches whose centres lie in it, of all frames of a folder that have the same
size, are one group. Patches of neighbouring blocks overlap where `stride` is less than `size`.

Shapes: image [H, W]; patches [N, 1, size, size]; uint8 or uint16.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from vaeforge.config.layouts import Layout
from vaeforge.config.prepare import PicturePrepare, Side
from vaeforge.data.block_split import PARTS
from vaeforge.data.file_format import named_suffixes, suffixes_of
from vaeforge.data.framing import STEP as SIDE_STEP
from vaeforge.data.images import open_grey, with_white
from vaeforge.data.picture_reading import reading_of, to_plain
from vaeforge.data.pixels import Pixels
from vaeforge.data.side_by_side import in_order, or_error
from vaeforge.data.source_files import READ, data_files, require_one_data_set
from vaeforge.errors import DataError
from vaeforge.progress import through
from vaeforge.samples import DataSet, Samples

STEP = 1000  # shares in messages are multiples of 1 / STEP


class FrameSettings(PicturePrepare):
    """Grey images of one texture, cut into patches; divided by column, so that no place is in two parts."""

    size: Side = 96
    stride: Annotated[int, Field(ge=1, description="distance between patches cut from one image")] = 32
    gap: Annotated[
        int,
        Field(ge=0, description="columns left out between parts; what is seen must not move further between frames"),
    ] = 48


def read(folder: Path, settings: FrameSettings) -> DataSet:
    """Patches of all images below `folder`.

    Raises:
        DataError: if there is no readable image, the images belong to several data sets, or one is too small for the
            patches.
    """
    paths = data_files(folder, suffixes_of("picture"))
    require_one_data_set(folder, paths)
    reading = with_white(reading_of(folder, settings), paths, most=1)
    quarantined: dict[str, str] = {}
    views: tuple[list[Pixels], ...] = ([], [], [])
    groups: list[str] = []
    fields: dict[str, str] = {}
    opened = in_order(or_error(partial(open_grey, reading=reading)), paths, lambda path: path)
    for path, image in zip(through(paths, "reading frames", READ), opened, strict=True):
        name = path.relative_to(folder).as_posix()
        if isinstance(image, DataError):
            quarantined[name] = str(image)
            continue
        fields[name] = f"{path.parent.relative_to(folder).as_posix()}/{image.shape[1]}x{image.shape[0]}"
        strips = _cut(path, image, settings)
        for collected, strip in zip(views, strips, strict=True):
            collected.append(strip)
        groups += [f"{fields[name]}/{block}" for block in _blocks(strips[2], settings)]
    _require_readable(folder, paths, fields, quarantined)
    train, validation, test = (Samples.unconditional(_stacked(collected)) for collected in views)
    counts = dict(zip(PARTS, map(len, (train, validation, test)), strict=True))
    counts |= {"test_groups": len(set(groups)), "frames": len(fields)}
    labels = np.zeros(len(test), dtype=np.int64)
    info = {"frames": list(fields), "fields": sorted(set(fields.values())), "pictures": to_plain(reading)}
    return DataSet(train, validation, test, labels, groups, counts=counts, info=info, quarantined=quarantined)


def _require_readable(folder: Path, paths: list[Path], readable: dict[str, str], reasons: dict[str, str]) -> None:
    if readable:
        return
    listed = "".join(f"; {reason}" for reason in list(reasons.values())[:3])
    raise DataError(
        f"{folder}: {len(paths)} image(s) ({named_suffixes('picture')}), none of them readable{listed}; "
        "put some there, or run `vaeforge import`"
    )


def _strips(width: int, settings: FrameSettings) -> list[tuple[int, int]]:
    """The first and last column of each part's strip, half the gap taken from either side of a border."""
    train = round(width * (1 - settings.validation - settings.test))
    validation = round(width * (1 - settings.test))
    before, after = settings.gap // 2, settings.gap - settings.gap // 2
    return [(0, train - before), (train + after, validation - before), (validation + after, width)]


def _cut(path: Path, image: Pixels, settings: FrameSettings) -> list[Pixels]:
    """A view [rows, columns, size, size] of each strip's patches."""
    strips = _strips(image.shape[1], settings)
    _require_room(path, image, strips, settings)
    window, step = (settings.size, settings.size), settings.stride
    return [sliding_window_view(image[:, first:end], window)[::step, ::step] for first, end in strips]


def _require_room(path: Path, image: Pixels, strips: list[tuple[int, int]], settings: FrameSettings) -> None:
    (height, width), size, gap = image.shape, settings.size, settings.gap
    if height < size or width < 3 * size + 2 * gap:
        raise DataError(
            f"{path}: got {width} x {height} pixels, must be at least {3 * size + 2 * gap} x {size}: three strips of "
            f"{size} and two gaps of {gap}; reduce `prepare.size` or `prepare.gap`, or leave the image out"
        )
    shares = (1 - settings.validation - settings.test, settings.validation, settings.test)
    lost = (gap // 2, gap, gap - gap // 2)
    for name, share, (first, end), beside in zip(PARTS, shares, strips, lost, strict=True):
        if end - first < size:
            # one for rounding the share up, one for rounding to columns
            least = ((size + beside) * STEP // width + 2) / STEP
            raise DataError(
                f"{path}: {name}'s strip has {max(0, end - first)} of {width} columns (share {share:.3g}, less the "
                f"gap's {beside}), must have at least {size}; give {name} a share of at least {least:g} "
                "(train has what validation and test leave)"
            )


def _blocks(patches: Pixels, settings: FrameSettings) -> list[str]:
    """The block `row/column` of each patch of a view [rows, columns, size, size], by the patch's centre.

    There are no more blocks than disjoint patches fit: what is left at the end belongs to the last one.
    """
    rows, columns = (_along(count, settings) for count in patches.shape[:2])
    return [f"{row}/{column}" for row in rows for column in columns]


def _along(count: int, settings: FrameSettings) -> list[int]:
    """The block of each of `count` patches along an axis."""
    size, stride = settings.size, settings.stride
    last = ((count - 1) * stride + size) // size - 1
    return [min((place * stride + size // 2) // size, last) for place in range(count)]


def _stacked(views: list[Pixels]) -> Pixels:
    """Views [rows, columns, size, size] copied into [N, 1, size, size], without a second copy."""
    size = views[0].shape[-1]
    patches = np.empty((sum(view.shape[0] * view.shape[1] for view in views), 1, size, size), dtype=views[0].dtype)
    start = 0
    for view in views:
        end = start + view.shape[0] * view.shape[1]
        patches[start:end].reshape(view.shape)[:] = view
        start = end
    return patches


class FramesLayout(Layout):
    """Grey images of one texture, cut into patches."""

    name = "frames"
    settings = FrameSettings
    picture_modes = ("patches", "sample")
    always_cut = True

    def fitting_size(self, sizes: Sequence[tuple[int, int]], settings: FrameSettings) -> int:
        """The largest size at which each picture has room for its three strips."""
        least = min(settings.validation, settings.test, 1 - settings.validation - settings.test)
        room = min(min(height, int(least * width) - settings.gap) for width, height in sizes)
        return max(SIDE_STEP, min(settings.size, room // SIDE_STEP * SIDE_STEP))

    def read(self, folder: Path, settings: FrameSettings) -> DataSet:
        return read(folder, settings)


LAYOUT = FramesLayout()
