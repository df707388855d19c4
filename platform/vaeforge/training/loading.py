"""Reading ahead: threads that copy samples off a disk into memory, page-locked for a GPU, while the model computes.

For data that do not fit the device, and memory maps of a disk that is slow to answer. Threads and not processes: numpy
releases Python's lock while it copies, memory maps need not be opened again, nothing is pickled, and none is left when
an epoch ends. What is read depends on neither their number nor their order: indices and random numbers come from the
caller, one plan after the other, and results are handed out in the order of the plans.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from vaeforge.samples import Samples
from vaeforge.training.resident import ResidentSamples
from vaeforge.work_ahead import work_ahead

P = TypeVar("P")
T = TypeVar("T")
AHEAD = 2  # plans a thread that are read before they are asked for


def read_in_order(
    read: Callable[[P], T], plans: Iterable[P], workers: int, device: torch.device
) -> Iterator[tuple[P, T]]:
    """Each of `plans` with what `read` makes of it, in order.

    Args:
        read: called in threads, several at a time.
        plans: taken one by one in the caller's thread, at most two a thread ahead.
        workers: threads; 0 reads in the caller's own, when it asks.
        device: for which it is read; the threads' current device where it is a GPU.
    """
    begin = partial(_use, device)
    return work_ahead(lambda plan: (plan, read(plan)), plans, workers, AHEAD * workers, "vaeforge-loader", begin)


def _use(device: torch.device) -> None:
    """Page-locked memory belongs to the context of the thread's current GPU."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def read(samples: Samples | ResidentSamples, chosen: Any, page_locked: bool) -> tuple[Tensor, Tensor]:
    """x and condition of the chosen samples in memory, page-locked so that a GPU can fetch them by itself."""
    x, condition = samples.tensors(chosen)
    if isinstance(samples, ResidentSamples):
        return x, condition
    return (x.pin_memory(), condition.pin_memory()) if page_locked else (x, condition)


def chunks(
    samples: Samples | ResidentSamples, size: int, device: torch.device, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """All samples in order on `device`, at most `size` at a time, read ahead by `workers` threads."""
    plans = (slice(start, start + size) for start in range(0, len(samples), size))
    page_locked = workers > 0 and device.type == "cuda"
    for _, found in read_in_order(lambda chosen: read(samples, chosen, page_locked), plans, workers, device):
        x, condition = (tensor.to(device, non_blocking=True) for tensor in found)
        yield x, condition
