"""What a search needs and what there is: hosts, devices, threads and disk, refused before anything is started."""

import math
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vaeforge.config import Experiment, Search
from vaeforge.errors import ResourceError
from vaeforge.search.space import Space, examples, experiment_for
from vaeforge.train.loop import untrained
from vaeforge_models.vae import DataSpec, parameter_count

BYTES_PER_PARAMETER = 4 * 3  # weights and Adam's two moments, float32
FILES_PER_RUNNING_TRIAL = 4  # the two newest, the best, and the one being written


@dataclass(frozen=True)
class Placement:
    """How many hosts of how many workers run, and on what; `gpus_per_worker` is 0 on CPUs."""

    hosts: int
    workers: int
    gpus_per_worker: float
    threads: int


def local_resources() -> tuple[float, float]:
    """CPUs and GPUs of this machine."""
    return float(os.cpu_count() or 1), float(torch.cuda.device_count())


def place(search: Search, cpus: float, gpus: float) -> Placement:
    """Fit the wished hosts and workers into `cpus` and `gpus`.

    Raises:
        ResourceError: saying what was asked for and what there is; nothing is trained on CPUs that asked for GPUs.
    """
    if search.device == "cuda" and not gpus:
        raise ResourceError("search.device: got 'cuda', but there is no GPU; use --device cpu, or a cluster with GPUs")
    use_gpus = search.device == "cuda" or (search.device == "auto" and gpus > 0)
    per_worker = search.gpus_per_worker if use_gpus else 0.0
    room = math.floor(cpus / search.workers)
    if use_gpus:
        room = min(room, math.floor(gpus / (search.workers * per_worker) + 1e-9))
    hosts = search.hosts or max(1, min(room, search.trials))
    if hosts > room:
        raise ResourceError(
            f"search: asked for {hosts} host(s) of {search.workers} worker(s), which is {hosts * search.workers} CPUs "
            f"and {hosts * search.workers * per_worker:g} GPUs; there are {cpus:g} CPUs and {gpus:g} GPUs: "
            f"lower --workers or --hosts, or give the --address of a larger cluster"
        )
    return Placement(hosts, search.workers, per_worker, max(1, math.floor(cpus / (hosts * search.workers))))


def largest_checkpoint(space: Space, base: Experiment, spec: DataSpec) -> int:
    """Bytes of a training state of the largest model that the space's ends name."""
    sizes = []
    for example in examples(space):
        experiment = experiment_for(space, base, example, seed=0)
        sizes.append(_parameters(experiment, spec))
    return max(sizes) * BYTES_PER_PARAMETER


def _parameters(experiment: Experiment, spec: DataSpec) -> int:
    """How many parameters a model would have, without memory for them where the family can be built so.

    A family that looks at the values of its constants cannot: they have none on the meta device.
    """
    shapes = replace(spec, constants={name: tensor.to("meta") for name, tensor in spec.constants.items()})
    try:
        with torch.device("meta"):
            return parameter_count(untrained(experiment, shapes))
    except RuntimeError:  # what the meta device does not implement is one too
        return parameter_count(untrained(experiment, spec))


def require_disk(folder: Path, checkpoint_bytes: int, search: Search, placement: Placement) -> int:
    """The bytes that the search's checkpoints take at most.

    Raises:
        ResourceError: if the disk has less free, or `folder` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ResourceError(
            f"{folder}: cannot be written ({error}); choose another project folder or free it"
        ) from None
    needed = checkpoint_bytes * (FILES_PER_RUNNING_TRIAL * (placement.hosts + 1) + search.keep_checkpoints)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"{folder}: checkpoints take up to {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free: "
            "free some, or lower search.keep_checkpoints, the number of hosts or the size of the model"
        )
    return needed
