"""Checks of the machine, as this job has it: cores, memory, disks, temporary folder, home, clock."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import psutil

from vaeforge.doctor.finding import Finding
from vaeforge.errors import ResourceError
from vaeforge.job_limits import job_cores, job_memory
from vaeforge.paths import Project, probe_writable
from vaeforge.search.dispatch.ray_memory import monitored_share
from vaeforge.search.dispatch.ray_session import short_parent

GB = 10**9
LITTLE_MEMORY, NO_MEMORY = 2 * GB, GB // 2  # that is free for a search; a worker group and Ray hold about 1.5 GB
LITTLE_DISK, NO_DISK = 2 * GB, GB // 10
BUSY = 2.0  # processes that wait for each core
SKEW_SECONDS = 5.0
BEFORE_THIS = 1_760_000_000  # unix seconds of a day before this code was written


def cores() -> Finding:
    """Cores of the job, and how busy they are."""
    mine, load = job_cores(), os.getloadavg()[0]
    found = f"{mine} for this job, of the machine's {os.cpu_count()}; load {load:.1f}"
    if load > BUSY * (os.cpu_count() or 1):
        return Finding("cores", "warn", found, "others compute here: starts take long, and fewer --hosts disturb less")
    return Finding("cores", "ok", found)


def memory() -> Finding:
    """Memory of the job, and what of it is free."""
    limit, state = job_memory(), psutil.virtual_memory()
    free = min(state.available, limit)
    found = f"{limit / GB:.1f} GB for this job, {free / GB:.1f} GB of the machine's free"
    if free < NO_MEMORY:
        return Finding("memory", "fail", found, "end other programs, or ask the scheduler for more")
    share = monitored_share()
    if free < LITTLE_MEMORY or 1 - state.available / state.total > share:
        advice = f"end other programs: Ray ends workers when {share:.0%} of the machine's memory are in use"
        return Finding("memory", "warn", found, advice)
    return Finding("memory", "ok", found)


def disk(name: str, folder: Path) -> Finding:
    """Room on the disk on which a folder lies, or will."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / GB:.1f} GB free at {place}"
    if free < NO_DISK:
        return Finding(name, "fail", found, "free some: checkpoints, ledger and figures go there")
    if free < LITTLE_DISK:
        return Finding(name, "warn", found, "free some, or lower search.keep_checkpoints")
    return Finding(name, "ok", found)


def temporary_folder() -> Finding:
    """TMPDIR can be written, and is short enough for Ray's sockets or another folder is."""
    place = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    try:
        probe_writable(place)
        elsewhere = short_parent()
    except ResourceError as error:
        return Finding("temporary folder", "fail", str(place), str(error))
    if elsewhere is not None:
        return Finding("temporary folder", "ok", f"{place}; Ray's sockets in {elsewhere}, as that is too long for them")
    return Finding("temporary folder", "ok", str(place))


def home() -> Finding:
    """HOME, which nothing here needs, but tools beside it do."""
    place = Path("~").expanduser()
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Finding("home", "ok", str(place))
    return Finding("home", "warn", f"{place} cannot be written", "searches work; DVC and `ray start` want a HOME")


def clock(project: Project) -> Finding:
    """The clock against this code, and against the one of the project's file system."""
    now = time.time()
    if now < BEFORE_THIS:
        return Finding("clock", "fail", time.strftime("%Y-%m-%d", time.gmtime(now)), "set the machine's clock")
    try:
        with tempfile.TemporaryFile(dir=project.root) as file:
            apart = os.fstat(file.fileno()).st_mtime - time.time()
    except OSError:  # said by the check of permissions
        return Finding("clock", "ok", "not compared with the file system's")
    if abs(apart) > SKEW_SECONDS:
        advice = "have both follow one time server (NTP): times in ledgers would contradict each other"
        return Finding("clock", "warn", f"the file system's is {apart:+.0f} s apart", advice)
    return Finding("clock", "ok", "that of the project's file system agrees")
