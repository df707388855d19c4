"""Reproduction of a model: its commit, its data and its seed, trained anew in a temporary folder and compared."""

import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from rich.console import Console

from vaeforge.errors import RegistryError
from vaeforge.manifests.trained_model import TrainedModelManifest, TrainingConditions, write_trained_model
from vaeforge.package.bundle import WINNER
from vaeforge.paths import Project
from vaeforge.records import read_record
from vaeforge.registry.checkout import bring_data, check_out, code_environment
from vaeforge.registry.resolve_model import Patch, TracedModel, patch_of
from vaeforge.registry.retrain import RetrainedModel, conditions_of
from vaeforge.registry.trace_link import NO_COMMIT
from vaeforge.remarks import say

ELSEWHERE = 1e-3  # relative: other processors and libraries round otherwise, and training carries that on
RANKS = 2e-3  # relative: gradients of several ranks are summed in another order than those of one
LANES = 2e-3  # relative: products of several models at once are summed in another order than those of one
LOGARITHMIC = ("val/nelbo", "val/nelbo_train_likelihood", "val/distortion", "train/loss", "train/distortion")
SHOWN = 200  # lines of a patch
COMPUTES = ("cpu", "architecture", "capability", "torch", "numpy")  # of a machine, what decides the last bits


@dataclass(frozen=True)
class Tolerance:
    """How far a metric may be from the recorded one, relative to it, and why."""

    relative: float
    why: str


@dataclass(frozen=True)
class MetricComparison:
    """A metric as it was recorded and as it came out again; `difference` and `allowed` in the metric's own unit."""

    metric: str
    recorded: float | None
    found: float | None
    difference: float | None
    allowed: float
    holds: bool


@dataclass(frozen=True)
class Reproduction:
    """What came out; `same_checkpoint` says whether the training's state is equal to the last byte."""

    rows: tuple[MetricComparison, ...]
    tolerance: Tolerance
    same_checkpoint: bool
    code: str
    data: str
    kept: Path | None

    @property
    def reproduced(self) -> bool:
        return all(row.holds for row in self.rows)


def reproduce(model: TracedModel, project: Project, keep: bool, console: Console, trust: bool = False) -> Reproduction:
    """Check out, prepare and train `model` again in a temporary folder, and compare its metrics.

    Args:
        model: see `resolve_model`.
        project: whose repository and data it was made from.
        keep: leave that folder, and say where it is.
        console: where progress, and a patch that would run, are shown.
        trust: run what a patch that is not this project's own makes of the code.

    Raises:
        RegistryError: if the code or the seed's training cannot be had, or the code is not trusted, before anything of
            it runs.
        DataError: if the data cannot.
    """
    manifest = model.manifest
    conditions, (commit, patch) = conditions_of(manifest), _required_code(model, project)
    if patch is not None and not patch.own:
        show_patch(patch, console)
        _require_trust(patch, trust)
    with _workspace(keep) as folder:
        checkout = folder / "checkout"
        check_out(project.root, checkout, commit, patch.content if patch else None)
        environment, code = code_environment(checkout, manifest.lineage.code_hash)
        changed = " with the recorded changes" if patch else ""
        say(console, f"code: commit {commit}{changed}; {code}")
        data = bring_data(project, checkout, manifest)
        say(console, data)
        found = _retrained(manifest, checkout, folder, environment, console)
    tolerance = tolerance_for(conditions, found)
    return Reproduction(
        tuple(compare(manifest, found, tolerance.relative)),
        tolerance,
        found.checkpoint_sha256 == manifest.checkpoint.sha256,
        code,
        data,
        folder if keep else None,
    )


def tolerance_for(conditions: TrainingConditions, found: RetrainedModel) -> Tolerance:
    """How exactly a training under `conditions` must come out again where it was done as `found` says."""
    if conditions.workers > 1:
        return Tolerance(RANKS, f"{conditions.workers} ranks trained it, and one process did now")
    if conditions.lanes is not None:
        return Tolerance(LANES, f"it was one of up to {conditions.lanes} lanes of a stack, and was trained alone now")
    if conditions.device != "cpu":
        return Tolerance(ELSEWHERE, "a GPU trained it, which sums in no fixed order")
    if conditions.threads is None:
        return Tolerance(ELSEWHERE, "the number of threads changed while it was trained")
    if conditions.threads != found.threads:
        return Tolerance(ELSEWHERE, f"{conditions.threads} threads trained it, and {found.threads} did now")
    if conditions.machine is None:
        return Tolerance(ELSEWHERE, "on what machine it was trained is not recorded, or machines of several kinds were")
    before, now = asdict(conditions.machine), asdict(found.machine)
    other = [key for key in COMPUTES if before[key] != now[key]]
    if other:
        shown = "; ".join(f"{key} was {before[key]}, is {now[key]}" for key in other)
        return Tolerance(ELSEWHERE, f"another kind of machine: {shown}")
    return Tolerance(0.0, "the same kind of machine, libraries and number of threads")


def compare(manifest: TrainedModelManifest, found: RetrainedModel, relative: float) -> Iterator[MetricComparison]:
    """Each metric of the model's epoch beside what came out, and the epoch itself."""
    recorded = {"epoch": manifest.checkpoint.epoch, **manifest.metrics}
    again = {"epoch": found.epoch, **found.metrics}
    half_dimensions = _half_dimensions(manifest.metrics)
    for name in sorted({*recorded, *again}):
        before, now = _number(recorded.get(name)), _number(again.get(name))
        if before is None or now is None:
            both = name in recorded and name in again
            yield MetricComparison(name, before, now, None, 0.0, holds=before is now and both)
        else:
            allowed = relative * max(abs(before), half_dimensions if name in LOGARITHMIC else 0.0)
            yield MetricComparison(name, before, now, abs(now - before), allowed, holds=abs(now - before) <= allowed)


def _half_dimensions(metrics: Mapping[str, Any]) -> float:
    """D / 2, by which the logarithm of the mean squared error enters `val/nelbo`; 0 where that cannot be told.

    A relative difference of the error moves `val/nelbo` by this times as many nats, also where it crosses zero.
    """
    nelbo, rate, mse = (_number(metrics.get(name)) for name in ("val/nelbo", "val/rate", "val/mse"))
    if nelbo is None or rate is None or mse is None or mse <= 0:
        return 0.0
    per_half = math.log(2 * math.pi * mse) + 1
    return (nelbo - rate) / per_half if abs(per_half) > ELSEWHERE else 0.0


def _number(value: Any) -> float | None:
    """A ledger has null where a number was not finite."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def show_patch(patch: Patch, console: Console) -> None:
    """The first lines of a patch, and where all of it lies; nothing in it moves the cursor or colours the terminal."""
    lines = patch.content.decode(errors="replace").splitlines()
    say(console, f"what came with the model changes the commit's code ({patch.path}, {len(lines)} lines):")
    for line in lines[:SHOWN]:
        say(console, "  " + "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in line))
    if len(lines) > SHOWN:
        say(console, f"  … {len(lines) - SHOWN} lines more in {patch.path}")


def _require_trust(patch: Patch, trust: bool) -> None:
    if not trust:
        raise RegistryError(
            f"question: run code that is changed by {patch.path}, which came from the registry and not from a search "
            "of this project? Whoever wrote it can do here what you can. Read it (see above), then agree with --trust "
            "true; nothing was run"
        )


def _required_code(model: TracedModel, project: Project) -> tuple[str, Patch | None]:
    """The commit and what is to be applied to it; refused where the code is not known."""
    state = model.manifest.lineage.git
    if state.commit is None:
        raise RegistryError(f"model: {NO_COMMIT}, so that its code is not known; commit it, then search anew")
    patch = patch_of(model, project) if state.dirty else None
    if state.dirty is not False and patch is None:
        raise RegistryError(
            "model: files differed from the commit when it was made, and the patch that says how is not here "
            "(code.patch beside the search's ledger, or in the version's files); bring that back"
        )
    return state.commit, patch


def _retrained(
    manifest: TrainedModelManifest, checkout: Path, folder: Path, environment: Mapping[str, str], console: Console
) -> RetrainedModel:
    """What the recorded code makes of the model's experiment, in a process of its own."""
    given, output = folder / WINNER, folder / "retrained.json"
    write_trained_model(given, manifest)
    command = [sys.executable, "-m", "vaeforge", "retrain", str(given), "--output", str(output)]
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=checkout, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                console.print(f"  {lines[-1]}", highlight=False, markup=False, soft_wrap=True)
        except BaseException:
            process.kill()
            raise
    if process.returncode or not output.is_file():
        reason = " ".join(lines[-5:]) or "it said nothing"
        raise RegistryError(f"retraining ended with {process.returncode}: {reason}")
    return read_record(RetrainedModel, output, "outcome of a retraining", "retrain again", RegistryError)


@contextmanager
def _workspace(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="vaeforge-reproduce-"))
    try:
        yield folder
    finally:
        if not keep:
            rmtree(folder, ignore_errors=True)
