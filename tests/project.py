"""A small project in a temporary folder, and calls of the command line in it, in this process or one of their own."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from PIL import Image

from vaeforge.chaos.processes import MARK

ROOT = Path(__file__).parents[1]
CODE_PATH = os.pathsep.join(str(ROOT / source) for source in ("platform", "models"))  # for PYTHONPATH
PARAMS = """
family: endoscopy
search: {trials: 6, seed: 3}
endoscopy:
  prepare: {size: 32, margin: 16, stride: 16, validation: 0.2, test: 0.3, seed: 0}
  model: {width: 4, latent_dim: 8}
  training: {batch_size: 16, steps_per_epoch: 4, evaluation_samples: 2}
  diffusion: {}
  gates: {min_active_units: 0, calibration: 1.0}
"""
SPACE = """
family: endoscopy
fidelity: {max: 6, min: 2, reduction: 3}
space:
  model.latent_dim: {int: [2, 16], log: true}
  beta.schedule:
    choice:
      constant: {beta.value: {float: [0.001, 1], log: true}}
      cyclical: {beta.max: {float: [0.001, 1], log: true}, beta.cycles: {int: [2, 3]}, beta.ramp: {float: [0.25, 0.6]}}
start:
  - {model.latent_dim: 8, beta.schedule: constant, beta.value: 0.1}
"""


def write_images(folder: Path, count: int, seed: int, brightness: int) -> None:
    """Smooth random images, all different."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        coarse = rng.integers(0, brightness, (6, 6, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize((60, 60), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")


class Called(NamedTuple):
    """How a call of the command line in this process has ended."""

    code: int
    stdout: str
    stderr: str


def command_line(root: Path, *arguments: str, **environment: str) -> Called:
    """A call of the command line in `root`, in this process: imports are made once and not for each call.

    For what starts no Ray and changes no process: refusals, lists, the steps after a search.
    """
    from vaeforge.cli.app import main

    given = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_ADDRESS"))}
    code, stdout, stderr = 0, io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, given | environment, clear=True),
        mock.patch.object(sys, "argv", ["vaeforge", *arguments]),
        contextlib.chdir(root),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")  # as in a process of its own, where they are part of the output
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Called(code, stdout.getvalue(), stderr.getvalue())


class EmptyProject:
    """A folder in which the command line is called."""

    def __init__(self, root: Path):
        self.root = root

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """The command line in a process of its own; its output in `output.log`."""
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "RAY_ADDRESS"))}
        variables |= {"PYTHONPATH": CODE_PATH, "PYTHONWARNINGS": "default", MARK: str(self.root), **environment}
        with (self.root / "output.log").open("w") as log:
            command = [sys.executable, "-m", "vaeforge", *arguments]
            return subprocess.Popen(command, cwd=self.root, env=variables, stdout=log, stderr=log, text=True)

    def run(self, *arguments: str, code: int = 0, seconds: float = 480, **environment: str) -> str:
        """The output of a call that must end with `code`."""
        process = self.start(*arguments, **environment)
        found = process.wait(seconds)
        assert found == code, self.output
        return self.output

    def call(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """The same in this process; see `command_line`."""
        found = command_line(self.root, *arguments, **environment)
        output = found.stdout + found.stderr
        assert found.code == code, output
        return output

    @property
    def output(self) -> str:
        return (self.root / "output.log").read_text()

    def events(self, name: str, kind: str | None = None) -> list[dict[str, Any]]:
        """The finished lines of a search's ledger."""
        path = self.root / f"artifacts/searches/{name}/ledger.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if kind is None or event["event"] == kind]

    def wait_for(self, ready: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 240) -> None:
        """Until `ready`, while `process` runs."""
        deadline = time.monotonic() + seconds
        while not ready():
            assert process.poll() is None, f"ended with {process.returncode} too early:\n{self.output}"
            assert time.monotonic() < deadline, f"waited {seconds} s:\n{self.output}"
            time.sleep(0.05)

    def wait_for_events(self, name: str, kind: str, process: "subprocess.Popen[str]", count: int = 1) -> None:
        """Until the search's ledger has `count` events of a kind, while `process` runs."""
        self.wait_for(lambda: len(self.events(name, kind)) >= count, process)

    def worker(self, name: str, host: int = 0) -> int:
        """The newest process of a host."""
        registered = [e for e in self.events(name, "registered") if e["host"] == host]
        return int(registered[-1]["processes"][0]["pid"])


class SmallProject(EmptyProject):
    """Data, parameters and a space for searches that take seconds."""

    def __init__(self, root: Path):
        super().__init__(root)
        write_images(root / "data/endoscopy/normal", 60, 0, 160)
        write_images(root / "data/endoscopy/lesion", 20, 1, 250)
        (root / "params.yaml").write_text(PARAMS)
        (root / "tune_spaces").mkdir()
        (root / "tune_spaces/endoscopy.yaml").write_text(SPACE)


class SampleProject(EmptyProject):
    """The project's own parameters and spaces, with the sample of one family."""

    def __init__(self, root: Path, family: str):
        super().__init__(root)
        (root / "data").mkdir()
        shutil.copytree(ROOT / "data" / family, root / "data" / family)
        shutil.copytree(ROOT / "tune_spaces", root / "tune_spaces")
        shutil.copy(ROOT / "params.yaml", root)


def check_invariants(project: EmptyProject, name: str, trials: int, **more: Any) -> None:
    """Everything that must hold of a search that has ended, see `vaeforge.chaos.invariants`.

    Args:
        project: in which it was run.
        name: of the search.
        trials: how many it has.
        more: further fields of `Expected`: causes of failure that the test explains, say; and `tracking_uri`, of a
            store that must agree with the ledger.
    """
    from vaeforge.chaos.invariants import Watched, check_search, problems_in
    from vaeforge.chaos.ledger_rules import Expected

    uri, folder = more.pop("tracking_uri", None), project.root / f"artifacts/searches/{name}"
    found = check_search(folder, Expected(trials, **more), Watched(str(project.root)), uri)
    problems = problems_in(found)
    assert not problems, "\n".join(problems)


def end(process: "subprocess.Popen[str]") -> None:
    """Nothing of a failed test stays behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()
