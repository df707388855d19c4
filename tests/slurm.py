"""SLURM on this machine: a controller and two nodes on loopback, with a partition that preempts another."""

import contextlib
import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from nodes import free_ports

SECONDS = 240
CONFIGURATION = """\
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node-%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=1,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={first} CPUs=2 RealMemory=2000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={second} CPUs=2 RealMemory=2000
PartitionName=low Nodes=n1,n2 Default=YES PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=n1,n2 PriorityTier=10 PreemptMode=OFF
"""


def missing() -> list[str]:
    """Programs of Debian's slurm-wlm that are not there."""
    return [name for name in ("slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]


class Slurm:
    """A controller and nodes `n1` and `n2` of two cores each, which know of no others."""

    def __init__(self, folder: Path):
        self.folder = folder
        ports = dict(zip(("controller", "first", "second"), free_ports(3), strict=True))
        configuration = CONFIGURATION.format(folder=folder, user=getpass.getuser(), **ports)
        (folder / "state").mkdir()
        (folder / "slurm.conf").write_text(configuration)
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        for command in (["slurmctld"], ["slurmd", "-N", "n1"], ["slurmd", "-N", "n2"]):
            subprocess.run(command, env=os.environ | self.environment, check=True, timeout=60)
        self.wait_for(lambda: self.call("sinfo", "-h", "-o", "%T %D") == "idle 2")

    def call(self, *command: str, cwd: Path | None = None, **environment: str) -> str:
        given = os.environ | self.environment | environment
        done = subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """RUNNING, PENDING, COMPLETED, …; of a job that has ended, too."""
        return self.call("scontrol", "show", "job", job).partition("JobState=")[2].split()[0]

    def start_again(self, job: str) -> None:
        """A job that was queued again waits for two minutes by itself."""
        self.wait_for(lambda: self.state(job) == "PENDING")
        time.sleep(5)  # nodes do not take a job in the second in which they have given it up
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    def wait_for(self, ready: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not ready():
            assert time.monotonic() < deadline, (self.folder / "controller.log").read_text()[-3000:]
            time.sleep(0.5)

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.call("scancel", "--user", getpass.getuser(), "--signal=KILL", "--full")
        with contextlib.suppress(subprocess.CalledProcessError):
            self.call("scontrol", "shutdown")
