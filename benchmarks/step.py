"""A training's CPU time, in steps and in validation, beside a bare loop over the same model.

    python benchmarks/step.py [FAMILY …] [--steps 60] [--windows 5] [--json FILE]

Each family trains on its sample with its `sample` preset, one thread, in this process. In each window `fit` trains an
epoch and the bare loop does as many steps: the same batches, augmentation, forward pass, loss, backward pass, clipping
and torch's Adam as it comes, without schedules, ranks, checks, validation or checkpoints. Counted are CPU seconds of
the process, which other work on the machine changes less than the clock's; the medians of the windows are compared.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.data.prepare import prepare
from vaeforge.data.prepared import load_training
from vaeforge.paths import Project
from vaeforge.training import loop
from vaeforge.training.batches import epoch_batches
from vaeforge.training.epoch_draws import steps_per_epoch
from vaeforge.training.loop import TrainingData, fit, untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge_models.families import families

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 1000  # more than any window reaches


def measured(work: Callable[[], Any]) -> float:
    """CPU seconds of this process that `work` takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


class BareLoop:
    """The loop that a person writes: batches of `fit`, loss, backward pass, clipping, Adam."""

    def __init__(self, experiment: Experiment, data: TrainingData):
        self.experiment, self.data = experiment, data
        self.model = untrained(experiment, data.spec)
        settings = experiment.optimizer
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
        self.optimizer = kind(self.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        self.epoch = 0

    def train_epoch(self) -> None:
        self.model.train()
        group = ProcessGroup()
        batches = epoch_batches(
            self.experiment, self.data.train, self.data.spec, self.model.latent_dim, self.epoch, group
        )
        for parts in batches:
            for batch in parts:
                x, output, mu, logvar = self.model(batch.raw, batch.condition, batch.eps)
                rate = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
                loss = (self.model.distortion(x, output) + self.experiment.beta.beta(1.0) * rate).mean()
                self.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.experiment.optimizer.clip_norm)
                self.optimizer.step()
        self.epoch += 1


def compared(family: str, data: TrainingData, steps: int, windows: int) -> dict[str, float]:
    """Medians of CPU seconds a step, of `fit` and of the bare loop, and validation's share of an epoch."""
    settings = {"training.epochs": EPOCHS, "training.patience": EPOCHS, "training.steps_per_epoch": steps}
    experiment = load(ROOT, family, "sample", overrides=settings).experiment
    validation: list[float] = []

    def validate(*arguments: Any) -> Any:
        found: list[Any] = []
        validation.append(measured(lambda: found.append(original(*arguments))))
        return found[0]

    original, bare, taken = loop.validate, BareLoop(experiment, data), {"fit": [], "bare": []}
    with mock.patch.object(loop, "validate", validate):
        training = fit(experiment, data)
        next(training), bare.train_epoch()  # the first steps allocate
        validation.clear()
        for _ in range(windows):
            taken["fit"].append(measured(lambda: next(training)) - validation[-1])
            taken["bare"].append(measured(bare.train_epoch))
    own, other, check = (statistics.median(one) for one in (taken["fit"], taken["bare"], validation))
    natural = steps_per_epoch(load(ROOT, family, "sample").experiment.training, len(data.train))
    return {
        "fit_ms": 1e3 * own / steps,
        "bare_ms": 1e3 * other / steps,
        "bare_over_fit": other / own,
        "validation_ms": 1e3 * check,
        "validation_share": check / (check + natural * own / steps),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=sorted(families()))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, dict[str, float]] = {}
    print(f"{'family':<10} {'fit':>9} {'bare':>9} {'bare/fit':>9} {'validation':>11} {'share':>6}   (CPU ms)")
    for family in given.families:
        with tempfile.TemporaryDirectory(prefix="vaeforge-step-") as folder:
            (Path(folder) / "data").symlink_to(ROOT / "data")
            project = Project(Path(folder))
            prepare(project, load(Path(folder), family, "sample").experiment)
            data = TrainingData(*load_training(project.prepared(family)))
            row = rows[family] = compared(family, data, given.steps, given.windows)
        print(
            f"{family:<10} {row['fit_ms']:9.3f} {row['bare_ms']:9.3f} {row['bare_over_fit']:9.2f} "
            f"{row['validation_ms']:11.1f} {row['validation_share']:6.0%}",
            flush=True,
        )
    if given.json:
        about = {"torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine()}
        given.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
