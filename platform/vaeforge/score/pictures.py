"""Images as batches: decoded by a thread a core, a batch ahead of the model, in the order of their names.

`whole`: a picture is a sample, as `vaeforge prepare` makes one of a picture in a class folder. `sample`: it is one
already, say a patch that was cut out, and must have its size. `patches`: it is cut into grey or RGB squares of a
sample's size at the distance `prepare.stride`, called `<file>/<row>/<column>` by their upper left corner in pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vaeforge.config.layouts import PictureMode, layout_named
from vaeforge.data.picture_reading import PictureReading
from vaeforge.errors import ConfigError, DataError
from vaeforge.job_limits import job_cores
from vaeforge.package.contract import Contract
from vaeforge.package.inputs import channels_first, open_inputs, picture_to_event
from vaeforge.score.batches import ItemBatch, Position, Rows, Size, Values, make_batch, prepare_setting, rejected_rows
from vaeforge.score.conditions import ClassConditions
from vaeforge.work_ahead import work_ahead

TASK = 8  # pictures that a thread decodes before it looks for more


@dataclass(frozen=True)
class Decoded:
    """What one file gave: a view of its samples [R, K, C, S, S], or the reason why it gave none.

    Of a picture that was cut, R x K are the rows and columns of patches; else R are its frames, and K is 1. `size` is
    that of a picture that was made a sample.
    """

    name: str
    condition: Values | None = None
    windows: NDArray[Any] | None = None
    stride: int | None = None
    size: Size | None = None
    reason: str = ""

    def rows(self, contract: Contract, first: int, end: int) -> Rows:
        """Samples first..end - 1, copied."""
        if self.windows is None or self.condition is None:
            return replace(rejected_rows(contract, [self.name], self.reason), sizes=[None])
        places = np.divmod(np.arange(first, end), self.windows.shape[1])
        condition = np.tile(self.condition, (end - first, 1))
        names = [self._called(*place) for place in np.stack(places, 1).tolist()]
        return Rows(names, self.windows[places], condition, sizes=[self.size] * len(names))

    def _called(self, row: int, column: int) -> str:
        if self.stride is None:
            return self.name if len(self) == 1 else f"{self.name}/{row}"
        return f"{self.name}/{row * self.stride}/{column * self.stride}"

    def __len__(self) -> int:
        return 1 if self.windows is None else self.windows.shape[0] * self.windows.shape[1]


def picture_mode(contract: Contract, given: str | None) -> PictureMode:
    """What pictures are to the model: as `given`, else as its layout has it.

    Raises:
        ConfigError: if that is not possible for the layout.
    """
    allowed = layout_named(contract.data).picture_modes
    if given is None:
        return "patches" if contract.cut else allowed[0]
    for mode in allowed:
        if given == mode:
            return mode
    raise ConfigError(f"--pictures: got {given!r}, must be one of {', '.join(allowed)} for {contract.data}")


class PictureReader:
    """The pictures `paths`, called by their path below `root`."""

    def __init__(
        self,
        root: Path,
        paths: list[Path],
        contract: Contract,
        conditions: ClassConditions,
        mode: PictureMode,
        batch: int,
        reading: PictureReading,
    ):
        self.root, self.paths, self.contract, self.conditions = root, paths, contract, conditions
        self.mode, self.batch, self.reading = mode, batch, reading

    def count(self) -> int | None:
        return len(self.paths)

    def batches(self, start: Position) -> Iterator[ItemBatch]:
        """At most `batch` samples at a time.

        Blocks end with a file where the batch is full, and where one that gave several samples leaves it half full.
        """
        held: list[Rows] = []
        count = finished = 0
        for number, decoded in enumerate(self._decoded(start[0]), start[0]):
            first = 0
            for end in _ends(len(decoded), self.batch - count, self.batch):
                held.append(decoded.rows(self.contract, first, end))
                count, first = count + end - first, end
                done = end == len(decoded)
                finished += done
                enough = done and (number == len(self.paths) - 1 or (len(decoded) > 1 and 2 * count >= self.batch))
                if count == self.batch or enough:
                    yield make_batch(_joined(held), (number + 1, 0) if done else None, finished)
                    held, count, finished = [], 0, 0

    def _decoded(self, first: int) -> Iterator[Decoded]:
        """The files from `first` on, decoded in threads, those of about one batch waiting.

        Pictures that are cut may be large, and are held whole: of them one a thread waits, and each is a task.
        """
        threads = job_cores()
        task = 1 if self.mode == "patches" else max(1, min(TASK, self.batch // threads))
        ahead = threads if self.mode == "patches" else -(-self.batch // task)
        tasks = (self.paths[begin : begin + task] for begin in range(first, len(self.paths), task))
        for decoded in work_ahead(self._decode_all, tasks, threads, ahead, "decode"):
            yield from decoded

    def _decode_all(self, paths: list[Path]) -> list[Decoded]:
        return [self._decode(path) for path in paths]

    def _decode(self, path: Path) -> Decoded:
        name = path.relative_to(self.root).as_posix()
        try:
            return Decoded(name, self.conditions.of(path), *self._windows(path))
        except DataError as error:
            return Decoded(name, reason=str(error).removeprefix(f"{path}: "))

    def _windows(self, path: Path) -> tuple[NDArray[Any], int | None, Size | None]:
        """A picture's samples [R, K, C, S, S], their distance where it is cut, its size where it is made a sample."""
        pictures = open_inputs(path, self.contract, self.reading)
        if self.mode != "patches":
            prepared = self.mode == "sample"
            events = [picture_to_event(picture, self.contract, prepared) for picture in pictures]
            height, width = pictures[0].shape[:2]
            return np.stack(events)[:, None], None, None if prepared else (width, height)
        if len(pictures) > 1:
            raise DataError(f"{path}: holds {len(pictures)} frames, which are not cut into patches; divide the file")
        (picture,) = pictures
        channels, side = self.contract.event_shape[0], self.contract.event_shape[-1]
        stride = int(prepare_setting(self.contract, "stride"))
        return _patches(channels_first(picture, channels), side, stride), stride, None


def _ends(count: int, room: int, batch: int) -> list[int]:
    """Where to cut `count` samples so that the first piece fills `room` and each other one is `batch` at most."""
    return [*range(room, count, batch), count]


def _joined(rows: list[Rows]) -> Rows:
    rejected: dict[int, str] = {}
    first = 0
    for some in rows:
        rejected |= {first + position: reason for position, reason in some.rejected.items()}
        first += len(some.names)
    x, condition = (np.concatenate([getattr(some, name) for some in rows]) for name in ("x", "condition"))
    names, sizes = [name for some in rows for name in some.names], [size for some in rows for size in some.sizes]
    return Rows(names, x, condition, rejected, sizes)


def _patches(pixels: NDArray[Any], side: int, stride: int) -> NDArray[Any]:
    """A view [R, K, C, side, side] of the squares of pixels [C, H, W]."""
    height, width = pixels.shape[1:]
    if min(height, width) < side:
        raise DataError(f"got {width} x {height} pixels, must be at least {side} x {side}, a patch; leave it out")
    return np.moveaxis(sliding_window_view(pixels, (side, side), axis=(1, 2))[:, ::stride, ::stride], 0, 2)
