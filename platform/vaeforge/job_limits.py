"""Cores and memory of this job: what affinity, control groups and SLURM leave it of the node, and what went beyond.

Sources: sched(7); the kernel's guides to control groups of version 1 (`cpu.cfs_quota_us`, `memory.limit_in_bytes`) and
2 (`cpu.max`, `memory.max`, `memory.events`); sbatch(1). A limit of a group holds for the groups in it, so all ancestors
are read.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

MEMBERSHIP = Path("/proc/self/cgroup")
MOUNTED = Path("/sys/fs/cgroup")
MEGABYTE = 1024**2


def job_cores() -> int:
    """Whole cores that this process and its children may use, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = (quota for folder in _groups("cpu") for quota in _quota(folder))
    return max(1, int(min([allowed, *quotas, *_given("SLURM_CPUS_ON_NODE")])))


def job_memory() -> int:
    """Bytes that this process and all others of its job may hold together."""
    limits = [
        limit
        for folder in _groups("memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        for limit in _numbers(folder / name)
    ]
    limits += [MEGABYTE * size for size in _given("SLURM_MEM_PER_NODE") if size]  # 0: all of the node's
    limits += [MEGABYTE * size * job_cores() for size in _given("SLURM_MEM_PER_CPU")]
    return int(min([psutil.virtual_memory().total, *limits]))


def oom_kills() -> int:
    """How many processes of this job's control group the kernel has ended because memory was used up."""
    for folder in _groups("memory"):
        for name in ("memory.events", "memory.oom_control"):
            with suppress(OSError):
                lines = (folder / name).read_text(encoding="utf-8").splitlines()
                return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    return 0


def _groups(controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, of either version, from its own up to the root."""
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:  # not a Linux
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        roots = (MOUNTED, MOUNTED / "unified") if not names else (MOUNTED / names, MOUNTED / controller)
        if names and controller not in names.split(","):
            continue
        # inside a container the path may be that of its host: then only the root's own files are there
        own = Path(path.strip("/"))
        yield from (root / part for root in roots for part in (own, *own.parents))


def _quota(folder: Path) -> Iterator[float]:
    """Cores that the group's share of time amounts to, where it has one."""
    quota, period = (_numbers(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    given = [*quota, *period] or _numbers(folder / "cpu.max")
    if len(given) == 2 and given[0] > 0:  # -1 of version 1 and "max" of version 2: no limit
        yield given[0] / given[1]


def _numbers(path: Path) -> list[float]:
    """The numbers in a control group's file; none if there is no such file."""
    try:
        return [float(word) for word in path.read_text(encoding="utf-8").split() if word.lstrip("-").isdecimal()]
    except OSError:
        return []


def _given(variable: str) -> list[float]:
    """The number in an environment variable, where there is one."""
    value = os.environ.get(variable, "")
    return [float(value)] if value.isdecimal() else []
