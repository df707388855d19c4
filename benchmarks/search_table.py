"""A table of real trainings that search strategies can be replayed on without training.

    python benchmarks/search_table.py           writes benchmarks/search_table.parquet, 20 minutes on a busy core
    python benchmarks/search_table.py --check   writes benchmarks/search_table_check.parquet

The family `fmri` on its sample: every combination of the axes below, 27 epochs of 17 steps (one pass over the 278
training time points), else the preset `sample`; one seed per configuration. One thread. A run that was interrupted goes
on where it was: configurations that the file holds are left alone. The axes were fixed after 36 probing trainings had
shown where the best values lie, so that they lie inside each axis.

With --check it trains what shows how far interpolation in the table can be trusted: 40 configurations drawn between its
points, and 20 of its own points again under other seeds.

A row is one epoch of one training: the configuration (`schedule`, `beta`, `latent_dim`, `lr`), `epoch`, and
    val_nelbo         nats per sample, see vaeforge/train/validation.py
    value             what `fit` reports as the trial's number (vaeforge/train/early_stopping.py); none where not finite
    val_rate          nats per sample
    val_active_units  a count
    seconds           training and validation of this epoch
"""

import argparse
import itertools
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from vaeforge.config.loader import load
from vaeforge.data.data_hash import data_identity, list_files
from vaeforge.data.prepared import spec_of
from vaeforge.data.readers import read_source
from vaeforge.errors import DataError
from vaeforge.paths import write_atomically
from vaeforge.seeds import derive
from vaeforge.training.loop import TrainingData, fit

BENCHMARKS = Path(__file__).resolve().parent
DATA = BENCHMARKS.parent / "data"
TABLE, CHECK = BENCHMARKS / "search_table.parquet", BENCHMARKS / "search_table_check.parquet"
FAMILY, EPOCHS = "fmri", 27
SETTINGS: dict[str, Any] = {"training.epochs": EPOCHS, "training.steps_per_epoch": 17, "training.patience": EPOCHS}
# what a schedule brings besides its largest beta, and the path of the latter
SCHEDULES: dict[str, tuple[str, dict[str, float]]] = {
    "constant": ("beta.value", {}),
    "linear": ("beta.value", {"beta.warmup": 0.25}),
    "cyclical": ("beta.max", {"beta.cycles": 4, "beta.ramp": 0.5}),
    "half_cosine": ("beta.max", {"beta.cycles": 3}),
}
BETAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
LATENT_DIMS = (8, 24, 72, 216)
LRS = (0.0003, 0.001, 0.003, 0.01)
SCHEMA = pa.schema(
    {"schedule": pa.string(), "beta": pa.float32(), "latent_dim": pa.int16(), "lr": pa.float32(), "epoch": pa.int8()}
    | dict.fromkeys(("val_nelbo", "value", "val_rate", "val_active_units", "seconds"), pa.float32())
)


@dataclass(frozen=True)
class Point:
    """One configuration of the table, and the seed it was trained with."""

    schedule: str
    beta: float
    latent_dim: int
    lr: float
    seed: int

    @property
    def key(self) -> tuple[str, float, int, float]:
        return self.schedule, self.beta, self.latent_dim, self.lr

    @property
    def stored(self) -> tuple[str, float, int, float]:
        """The key as the file holds it, in single precision."""
        return self.schedule, float(np.float32(self.beta)), self.latent_dim, float(np.float32(self.lr))

    def params(self) -> dict[str, Any]:
        """Dotted configuration path to value."""
        path, others = SCHEDULES[self.schedule]
        first = {"beta.schedule": self.schedule, path: self.beta, **others}
        return first | {"model.latent_dim": self.latent_dim, "optimizer.lr": self.lr}


def points() -> Iterator[Point]:
    """Every configuration, in the order in which they are trained."""
    for number, key in enumerate(itertools.product(SCHEDULES, BETAS, LATENT_DIMS, LRS)):
        yield Point(*key, seed=derive(0, "search table", number))


def checks() -> Iterator[Point]:
    """40 configurations between the points of the table, then 20 of its points, with seeds of their own."""
    rng = np.random.default_rng(derive(0, "search table check"))
    known = list(points())
    for number in range(60):
        seed = derive(0, "search table check", number)
        if number < 40:
            beta, size, lr = (float(np.exp(rng.uniform(*np.log([a[0], a[-1]])))) for a in (BETAS, LATENT_DIMS, LRS))
            yield Point(list(SCHEDULES)[rng.integers(len(SCHEDULES))], beta, round(size), lr, seed)
        else:
            yield replace(known[rng.integers(len(known))], seed=seed)


def train(point: Point, data: TrainingData) -> list[dict[str, Any]]:
    """The rows of one configuration."""
    overrides = SETTINGS | point.params() | {"training.seed": point.seed}
    # the folder has no params.yaml: the family's defaults and its preset alone count
    experiment = load(BENCHMARKS, FAMILY, "sample", overrides).experiment
    schedule, beta, latent_dim, lr = point.key
    return [
        {"schedule": schedule, "beta": beta, "latent_dim": latent_dim, "lr": lr, "epoch": report.epoch}
        | {"val_nelbo": report.metrics["val/nelbo"], "value": report.value, "val_rate": report.metrics["val/rate"]}
        | {"val_active_units": report.metrics["val/active_units"], "seconds": report.seconds}
        for report in fit(experiment, data)
    ]


def prepared() -> tuple[TrainingData, dict[str, str]]:
    """The sample's arrays, and what the table says about itself."""
    experiment = load(BENCHMARKS, FAMILY, "sample").experiment
    folder = DATA / FAMILY
    source = read_source(folder, experiment)
    arrays = TrainingData(source.train, source.validation, spec_of(source.validation, source.constants))
    described = {
        "family": FAMILY,
        "preset": "sample",
        "data_identity": data_identity(list_files(folder), experiment.prepare),
        "settings": json.dumps(SETTINGS),
        "schedules": json.dumps(SCHEDULES),
        "seed": 'derive(0, "search table", number of the configuration)',
        "samples": f"{len(source.train)} train, {len(source.validation)} validation, {arrays.spec.dimensions} values",
        "versions": json.dumps({"python": platform.python_version(), "torch": version("torch")}),
        "machine": f"{platform.machine()}, one thread",
        "command": "python benchmarks/search_table.py",
    }
    return arrays, described


def existing(path: Path, described: dict[str, str]) -> pa.Table:
    """The rows that `path` holds, if it was made in the same way.

    Raises:
        DataError: if it was made from other data or with other settings.
    """
    if not path.exists():
        return SCHEMA.empty_table()
    table = pq.read_table(path)
    found = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    for key in ("family", "data_identity", "settings", "schedules"):
        if found.get(key) != described[key]:
            raise DataError(f"{path}: {key}: got {found.get(key)}, must be {described[key]}; remove it to start anew")
    return table.replace_schema_metadata(None)


def write(path: Path, table: pa.Table, described: dict[str, str]) -> None:
    """Write the table with its metadata, compressed, in place of an older one."""

    def fill(file: BinaryIO) -> None:
        pq.write_table(table.replace_schema_metadata(described), file, compression="zstd", compression_level=19)

    write_atomically(path, fill)


def main() -> None:
    """Train what is missing; the file is complete after each configuration."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    path = CHECK if check else TABLE
    torch.set_num_threads(1)
    data, described = prepared()
    table = existing(path, described)
    columns = table.select(["schedule", "beta", "latent_dim", "lr"]).to_pylist()
    done = {tuple(row.values()) for row in columns}
    for number, point in enumerate(checks() if check else points()):
        if point.stored in done:
            continue
        started = time.monotonic()
        rows = train(point, data)
        table = pa.concat_tables([table, pa.Table.from_pylist(rows, schema=SCHEMA)])
        write(path, table, described)
        seconds = time.monotonic() - started
        print(f"{number} {point.key}: {rows[-1]['value']} after {len(rows)} epochs, {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
