"""A table of real trainings that search strategies can be replayed on without training.

    python benchmarks/search_table.py [--table speckle]           writes benchmarks/search_table[_speckle].parquet
    python benchmarks/search_table.py [--table speckle] --check   writes benchmarks/search_table[_speckle]_check.parquet

Every combination of the axes of a table of `search_tables.py`, on the family's sample, one seed per configuration. One
thread a process. A run that was interrupted goes on where it was: configurations that the file holds are left alone.
The axes were fixed after probing trainings had shown where the best values lie, so that they lie inside each axis.

With --check it trains what shows how far interpolation in the table can be trusted: configurations drawn between its
points, and some of its own points again under other seeds.

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
import multiprocessing
import platform
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from search_tables import BENCHMARKS, EXPECTED, FMRI, TABLES, TableSpec

from vaeforge.config.loader import load
from vaeforge.data.data_hash import data_identity, list_files
from vaeforge.data.held_out_plane import matched_betas
from vaeforge.data.prepared import spec_of
from vaeforge.data.readers import read_source
from vaeforge.errors import DataError
from vaeforge.paths import write_atomically, write_bytes
from vaeforge.seeds import derive
from vaeforge.training.loop import TrainingData, fit

DATA = BENCHMARKS.parent / "data"
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

    def params(self, spec: TableSpec) -> dict[str, Any]:
        """Dotted configuration path to value."""
        path, others = spec.schedules[self.schedule]
        first = {"beta.schedule": self.schedule, path: self.beta, **others}
        return first | {"model.latent_dim": self.latent_dim, "optimizer.lr": self.lr}


def points(spec: TableSpec = FMRI) -> Iterator[Point]:
    """Every configuration, in the order in which they are trained."""
    for number, key in enumerate(itertools.product(spec.schedules, spec.betas, spec.latent_dims, spec.lrs)):
        yield Point(*key, seed=derive(0, spec.label, number))


def checks(spec: TableSpec = FMRI) -> Iterator[Point]:
    """`between` configurations between the points of the table, then `again` of its points, with seeds of their own."""
    label, axes = f"{spec.label} check", spec.axes
    rng = np.random.default_rng(derive(0, label))
    known = list(points(spec))
    for number in range(spec.between):
        beta, size, lr = (float(np.exp(rng.uniform(*np.log([axis[0], axis[-1]])))) for axis in axes)
        schedule = list(spec.schedules)[rng.integers(len(spec.schedules))]
        yield Point(schedule, beta, round(size), lr, derive(0, label, number))
    for number in range(spec.between, spec.between + spec.again):
        chosen = known[rng.integers(len(known))]
        for seed in range(spec.seeds):
            yield replace(chosen, seed=derive(0, label, number, *([seed] if spec.seeds > 1 else [])))


def train(spec: TableSpec, point: Point, data: TrainingData) -> list[dict[str, Any]]:
    """The rows of one configuration."""
    overrides = {**spec.settings, **point.params(spec)} | {"training.seed": point.seed}
    # the folder has no params.yaml: the family's defaults and its preset alone count
    experiment = load(BENCHMARKS, spec.family, "sample", overrides).experiment
    schedule, beta, latent_dim, lr = point.key
    return [
        {"schedule": schedule, "beta": beta, "latent_dim": latent_dim, "lr": lr, "epoch": report.epoch}
        | {"val_nelbo": report.metrics["val/nelbo"], "value": report.value, "val_rate": report.metrics["val/rate"]}
        | {"val_active_units": report.metrics["val/active_units"], "seconds": report.seconds}
        for report in fit(experiment, data)
    ]


def prepared(spec: TableSpec) -> tuple[TrainingData, dict[str, str]]:
    """The sample's arrays, and what the table says about itself."""
    experiment = load(BENCHMARKS, spec.family, "sample", dict(spec.settings)).experiment
    folder = DATA / spec.family
    source = read_source(folder, experiment)
    arrays = TrainingData(source.train, source.validation, spec_of(source.validation, source.constants))
    described = {
        "family": spec.family,
        "preset": "sample",
        "data_identity": data_identity(list_files(folder), experiment.prepare),
        "settings": json.dumps(dict(spec.settings)),
        "schedules": json.dumps(dict(spec.schedules)),
        "seed": f'derive(0, "{spec.label}", number of the configuration)',
        "samples": f"{len(source.train)} train, {len(source.validation)} validation, {arrays.spec.dimensions} values",
        "versions": json.dumps({"python": platform.python_version(), "torch": version("torch")}),
        "machine": f"{platform.machine()}, one thread",
        "command": f"python benchmarks/search_table.py --table {spec.name}",
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


def write_expected(spec: TableSpec) -> None:
    """Write the mean beta that a search over the table's data would expect of each latent size."""
    experiment = load(BENCHMARKS, spec.family, "sample", dict(spec.settings)).experiment
    source = read_source(DATA / spec.family, experiment)
    spec_of_data = spec_of(source.validation, source.constants)
    betas = matched_betas(source.train, source.validation, spec_of_data, experiment, spec.latent_dims)
    known = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    found = known | {spec.name: {str(size): float(f"{beta:.4g}") for size, beta in betas.items()}}
    write_bytes(EXPECTED, json.dumps(found, indent=1).encode() + b"\n")
    print(f"{spec.name}: {found[spec.name]}")


def main() -> None:
    """Train what is missing; the file is complete after each configuration."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", choices=list(TABLES), default="fmri")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--expected", action="store_true", help="write what its data let one expect of beta")
    parser.add_argument("--workers", type=int, default=1, help="processes, of one thread each")
    given = parser.parse_args()
    spec = TABLES[given.table]
    if given.expected:
        return write_expected(spec)
    path = spec.check if given.check else spec.path
    data, described = prepared(spec)
    table = existing(path, described)
    done = Counter(tuple(row.values()) for row in table.select(["schedule", "beta", "latent_dim", "lr"]).to_pylist())
    missing = []
    for point in checks(spec) if given.check else points(spec):
        if done[point.stored] > 0:  # a point that is trained again under other seeds is there several times
            done[point.stored] -= spec.epochs
        else:
            missing.append(point)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.workers, context, torch.set_num_threads, (1,)) as pool:
        for point, rows in zip(missing, pool.map(train, repeat(spec), missing, repeat(data)), strict=True):
            table = pa.concat_tables([table, pa.Table.from_pylist(rows, schema=SCHEMA)])
            write(path, table, described)
            seconds = sum(row["seconds"] for row in rows)
            print(f"{point.key}: {rows[-1]['value']} after {len(rows)} epochs, {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
