"""Resources that a search needs and finds: worker groups, devices, threads, disk; checked before anything starts."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from vaeforge.config.experiment import Experiment, Search
from vaeforge.errors import ResourceError
from vaeforge.job_limits import job_cores, job_memory
from vaeforge.paths import probe_writable
from vaeforge.search.space.space import Space
from vaeforge.search.space.trial_experiment import experiment_for
from vaeforge.training.loop import untrained
from vaeforge_models.vae import DataSpec, parameter_count

BYTES_PER_PARAMETER = 4 * 3  # weights and Adam's two moments, float32
CPU_SHARE = 0.9  # of a core that Ray sets aside per worker, so that Tune's trials and the dispatcher find room
ROUNDING = 1e-6
TUNE_CPU_SHARE = 0.1  # of a core, which Tune's trials may reserve in all
MEMORY_SHARE = 0.8  # of a node's memory for all ranks that may run on it
FILES_PER_RUNNING_TRIAL = 4  # the two newest, the best, and the one being written


@dataclass(frozen=True)
class Placement:
    """How many worker groups of how many workers start, and on what.

    Attributes:
        hosts: worker groups that there is room for now.
        workers: ranks of a worker group.
        gpus_per_worker: 0 on CPUs.
        threads: of a rank, such that all cores are in use once as many worker groups run as there could ever be.
    """

    hosts: int
    workers: int
    gpus_per_worker: float
    threads: int

    def lanes(self, search: Search) -> int | Literal["auto"]:
        """How many trials a worker group trains at once, as far as that is not to be measured."""
        if search.lanes is not None:
            return search.lanes
        return "auto" if self.gpus_per_worker and self.workers == 1 and not search.deterministic else 1

    @property
    def resources(self) -> dict[str, float]:
        """What Ray sets aside for one worker."""
        return {"CPU": CPU_SHARE} | ({"GPU": self.gpus_per_worker} if self.gpus_per_worker else {})


@dataclass(frozen=True)
class Supply:
    """CPUs and GPUs, of a node or of a whole cluster."""

    cpus: float
    gpus: float


def local_resources() -> tuple[float, float]:
    """CPUs that this job may use, and GPUs of this machine."""
    return float(job_cores()), float(torch.cuda.device_count())


def place(search: Search, cpus: float, gpus: float) -> Placement:
    """Fit the requested worker groups and workers into one machine of `cpus` and `gpus` that nothing else uses.

    Raises:
        ResourceError: see `place_on`.
    """
    return place_on(search, [Supply(cpus, gpus)], Supply(cpus, gpus))


def place_on(search: Search, nodes: Sequence[Supply], free: Supply) -> Placement:
    """Fit the requested worker groups and workers into a cluster of `nodes`, of which `free` is unused now.

    At least one worker group is placed if the cluster could ever hold it: it may have to wait for others to end.

    Raises:
        ResourceError: saying what was asked for and what there is, where the cluster could never hold it; nothing is
            trained on CPUs that asked for GPUs.
    """
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    if search.device == "cuda" and not gpus:
        raise ResourceError(
            f"search.device: got 'cuda', but there is no GPU: asked for {_groups(search.hosts or 1, search.workers)} "
            f"with {search.gpus_per_worker:g} GPU{'' if search.gpus_per_worker <= 1 else 's'} each; "
            f"there are {_inventory(nodes)}: use --device cpu, or a cluster with GPUs"
        )
    per_worker = search.gpus_per_worker if search.device == "cuda" or (search.device == "auto" and gpus > 0) else 0.0
    if per_worker > 1 and per_worker % 1:
        raise ResourceError(
            f"search.gpus_per_worker: got {per_worker:g}, must be a fraction of one GPU or a whole number of them"
        )
    room = sum(_ranks(node, per_worker) for node in nodes) // search.workers
    asked = search.hosts or 1
    if asked > room:
        raise ResourceError(
            f"search: asked for {_groups(asked, search.workers)}, which is {asked * search.workers} CPUs "
            f"and {asked * search.workers * per_worker:g} GPUs; there are {_inventory(nodes)}: "
            f"lower --workers or --hosts, or give the --address of a larger cluster"
        )
    most = 1 if search.deterministic else search.hosts or min(room, search.trials)
    now = free_ranks(nodes, free, per_worker) // search.workers
    threads = max(1, math.floor(cpus / (most * search.workers)))
    return Placement(max(1, min(most, now)), search.workers, per_worker, threads)


def _groups(groups: int, workers: int) -> str:
    """So many worker groups (`--hosts`) of so many workers each, in words."""
    each = f"{workers} worker{'s' * (workers != 1)}"
    return f"{groups} worker group{'s' * (groups != 1)} of {each}{' each' * (groups != 1)}"


def _ranks(node: Supply, gpus_per_worker: float) -> int:
    """How many workers a node holds, a core for each."""
    return int(min(math.floor(node.cpus), _gpu_ranks(node.gpus, gpus_per_worker)))


def _gpu_ranks(gpus: float, per_worker: float) -> float:
    """How many workers `gpus` serve; a fraction is never put together from several GPUs."""
    if not per_worker:
        return math.inf
    if per_worker >= 1:
        return math.floor(gpus / per_worker + ROUNDING)
    whole = math.floor(gpus + ROUNDING)
    return whole * math.floor(1 / per_worker + ROUNDING) + math.floor((gpus - whole) / per_worker + ROUNDING)


def free_ranks(nodes: Sequence[Supply], free: Supply, gpus_per_worker: float, own: int = 0) -> int:
    """How many more workers find room in a cluster of `nodes` of which `free` is unused.

    `own` workers of this search run there: each computes on a whole core, though less is set aside for it.
    """
    used = sum(node.cpus for node in nodes) - free.cpus - own * CPU_SHARE
    cores = sum(math.floor(node.cpus) for node in nodes) - used - own
    return int(max(0, min(math.floor(cores + TUNE_CPU_SHARE), _gpu_ranks(free.gpus, gpus_per_worker))))


def _inventory(nodes: Sequence[Supply]) -> str:
    text = f"{sum(n.cpus for n in nodes):g} CPUs and {sum(n.gpus for n in nodes):g} GPUs"
    return text if len(nodes) == 1 else f"{text} on {len(nodes)} nodes"


def default_memory_limit(threads: int) -> int:
    """Bytes that a rank of `threads` threads may hold on this node: its part of `MEMORY_SHARE` of the job's memory."""
    return int(MEMORY_SHARE * job_memory() * min(1.0, threads / job_cores()))


def largest_checkpoint(space: Space, base: Experiment, spec: DataSpec) -> int:
    """Bytes of a training state of the largest model that the space's ends name."""
    sizes = []
    for example in space.corner_points():
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
    probe_writable(folder)
    lanes = search.lanes if isinstance(search.lanes, int) else 1  # measured ones are not known yet
    needed = checkpoint_bytes * (FILES_PER_RUNNING_TRIAL * (placement.hosts * lanes + 1) + search.keep_checkpoints)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"{folder}: checkpoints take up to {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free: "
            "free some, or lower search.keep_checkpoints, --hosts or the size of the model"
        )
    return needed
