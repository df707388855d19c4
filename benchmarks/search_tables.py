"""The tables of real trainings that search strategies are replayed on: what each trains, fixed before it was opened.

    fmri        an MLP on standardised series, squared error: 384 trainings of 27 epochs; axes fixed after 36 probes
    speckle     a convolutional net on grey patches of 16 pixels, squared error, one cycle of the learning rate: 144
                trainings of 9 epochs; axes fixed after 4 probes

Each is the whole factorial of its axes. The first rung of both lies at a ninth of the training, the second at a third.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
EXPECTED = BENCHMARKS / "search_expected.json"
SCHEDULES: dict[str, tuple[str, dict[str, float]]] = {
    "constant": ("beta.value", {}),
    "linear": ("beta.value", {"beta.warmup": 0.25}),
    "cyclical": ("beta.max", {"beta.cycles": 4, "beta.ramp": 0.5}),
    "half_cosine": ("beta.max", {"beta.cycles": 3}),
}


@dataclass(frozen=True)
class TableSpec:
    """What a table trains.

    Attributes:
        name: of the table, and what its seeds derive from.
        family: trained from its preset `sample`, on its sample.
        epochs: of a full training.
        settings: what differs from the preset, dotted configuration path to value.
        betas, latent_dims, lrs: its axes, each with every schedule.
        between: configurations drawn between its points, to see how far interpolation can be trusted.
        again: how many of its points are trained again, `seeds` times each.
        schedules: what a schedule brings besides its largest beta, and the path of the latter.
    """

    name: str
    family: str
    epochs: int
    settings: Mapping[str, Any]
    betas: Sequence[float]
    latent_dims: Sequence[int]
    lrs: Sequence[float]
    between: int
    again: int
    seeds: int = 1
    schedules: Mapping[str, tuple[str, dict[str, float]]] = field(default_factory=lambda: SCHEDULES)

    @property
    def axes(self) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
        """Largest beta, latent size, learning rate."""
        return self.betas, self.latent_dims, self.lrs

    @property
    def label(self) -> str:
        """What its seeds are derived under; the first table's had no name."""
        return "search table" if self.name == "fmri" else f"search table {self.name}"

    def expected(self) -> dict[str, float]:
        """What `vaeforge tune` would expect of beta on the table's data (`search_table.py --expected`)."""
        found: dict[str, float] = json.loads(EXPECTED.read_text())[self.name]
        return found

    @property
    def path(self) -> Path:
        return BENCHMARKS / ("search_table.parquet" if self.name == "fmri" else f"search_table_{self.name}.parquet")

    @property
    def check(self) -> Path:
        """The file of the trainings that `--check` makes."""
        return self.path.with_name(f"{self.path.stem}_check.parquet")


FMRI = TableSpec(
    name="fmri",
    family="fmri",
    epochs=27,
    settings={"training.epochs": 27, "training.steps_per_epoch": 17, "training.patience": 27},
    betas=(0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    latent_dims=(8, 24, 72, 216),
    lrs=(0.0003, 0.001, 0.003, 0.01),
    between=40,
    again=20,
)
SPECKLE = TableSpec(
    name="speckle",
    family="speckle",
    epochs=9,
    settings={
        "training.epochs": 9,
        "training.steps_per_epoch": 20,
        "training.patience": 9,
        "training.evaluation_samples": 2,
        "prepare.size": 16,
        "prepare.stride": 48,
        "model.width": 0.0625,
    },
    betas=(0.002, 0.01, 0.05, 0.25),
    latent_dims=(8, 24, 72),
    lrs=(0.0015, 0.0045, 0.0135),
    between=0,
    again=8,
    seeds=2,
)
TABLES = {spec.name: spec for spec in (FMRI, SPECKLE)}
