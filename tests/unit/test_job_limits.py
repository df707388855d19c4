"""Cores and memory of a job: affinity, control groups of both versions and SLURM's variables, the least of all."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from project import ROOT
from vaeforge import job_limits
from vaeforge.job_limits import job_cores, job_memory

GIGABYTE = 1024**3


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of 64 cores and 256 GB on which nothing is limited."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=256 * GIGABYTE))
    monkeypatch.setattr(job_limits, "MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(job_limits, "MOUNTED", tmp_path / "mounted")
    for name in ("SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"):
        monkeypatch.delenv(name, raising=False)


def write(root: Path, membership: str, **files: str) -> None:
    (root / "cgroup").write_text(membership)
    for name, text in files.items():
        path = root / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_without_limits_the_node_counts(tmp_path: Path) -> None:
    assert (job_cores(), job_memory()) == (64, 256 * GIGABYTE)
    unlimited = {"cpu.max": "max 100000\n", "memory.max": "max\n"}
    write(tmp_path, "0::/\n", **unlimited)
    assert (job_cores(), job_memory()) == (64, 256 * GIGABYTE)


def test_a_limit_of_version_2_may_be_an_ancestors(tmp_path: Path) -> None:
    above, own = "system.slice/slurmstepd.scope/job_7", "system.slice/slurmstepd.scope/job_7/step_0/user"
    files = {f"{above}/memory.max": f"{8 * GIGABYTE}\n", f"{own}/memory.max": "max\n"}
    files |= {f"{above}/cpu.max": "max 100000\n", f"{own}/cpu.max": "350000 100000\n"}
    write(tmp_path, f"0::/{own}\n", **files)
    assert (job_cores(), job_memory()) == (3, 8 * GIGABYTE)


def test_version_1_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    files = {"cpu,cpuacct/docker/a1/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/docker/a1/cpu.cfs_period_us": "100000\n"}
    files |= {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    files |= {"memory/docker/a1/memory.limit_in_bytes": f"{2 * GIGABYTE}\n"}
    files |= {"memory/memory.limit_in_bytes": "9223372036854771712\n"}
    write(tmp_path, "5:cpu,cpuacct:/docker/a1\n4:memory:/docker/a1\n1:name=systemd:/\n0::/\n", **files)
    assert (job_cores(), job_memory()) == (1, 2 * GIGABYTE)  # half a core is one


def test_in_a_container_that_is_told_the_hosts_path_the_root_holds(tmp_path: Path) -> None:
    write(tmp_path, "0::/kubepods/pod3/x\n", **{"cpu.max": "400000 100000\n", "memory.max": f"{GIGABYTE}\n"})
    assert (job_cores(), job_memory()) == (4, GIGABYTE)


def test_slurm_without_control_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "6")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "2048")
    assert (job_cores(), job_memory()) == (6, 12 * GIGABYTE)
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "4096")
    assert job_memory() == 4 * GIGABYTE
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")  # sbatch --mem=0 asks for all of the node's
    assert job_memory() == 12 * GIGABYTE


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_that_is_pinned_to_one_core_has_one() -> None:
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from vaeforge.job_limits import job_cores; print(job_cores())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "platform")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
