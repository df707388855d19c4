"""Does a larger beta lower the rate and raise the distortion, strictly, in every family, on its sample data?

Each family's `sample` preset is trained three times from the same seed, with its own schedule's weights times 0.1, 1
and 10. Rate and distortion (training likelihood, nats per sample) are those of the validation samples at the end.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

from quality_train import Figures, rounded, settle, train

from vaeforge.config.experiment import Experiment
from vaeforge.data.prepared import spec_of
from vaeforge.data.readers import read_source
from vaeforge.training.loop import TrainingData
from vaeforge_models.families import families

FACTORS = (0.1, 1.0, 10.0)
WEIGHTS = ("value", "max", "min")
TOLD = ("val/rate", "val/distortion", "val/mse", "val/active_units", "val/nelbo")


def run(root: Path, quick: bool) -> Figures:
    """A row for each family that has a sample."""
    rows = [family_row(root, name, quick) for name in sorted(families()) if (root / "data" / name).is_dir()]
    ordered = all(row["ordered"] for row in rows)
    return {"protocol": "preset sample, beta times 0.1, 1 and 10, last epoch", "seeds": [0], "ordered": ordered,
            "families": rows}  # fmt: skip


def family_row(root: Path, name: str, quick: bool) -> Figures:
    """The three trainings of one family, and whether rate falls and distortion rises."""
    plain = settle(name, {"training.epochs": 2} if quick else {})
    source = read_source(root / "data" / name, plain)
    data = TrainingData(source.train, source.validation, spec_of(source.validation, source.constants))
    points, seconds = [], 0.0
    for factor in FACTORS:
        trained = train(scaled(plain, factor), data)
        points.append({"factor": factor} | {key: rounded(trained.curve[-1][key]) for key in TOLD})
        seconds += trained.seconds
    row = {"family": name, "schedule": plain.beta.schedule, "beta": weights_of(plain), "points": points,
           "ordered": ordered(points), "training_seconds": rounded(seconds)}  # fmt: skip
    print(f"beta: {row}", flush=True)
    return row


def weights_of(experiment: Experiment) -> dict[str, float]:
    """The numbers of the schedule that are weights of the rate.

    Raises:
        ValueError: for a schedule that finds its weight by itself.
    """
    settings: dict[str, Any] = experiment.beta.model_dump()
    if not {"value", "max"} & settings.keys():
        raise ValueError(f"{experiment.family}: its schedule {experiment.beta.schedule} has no weight to multiply")
    return {key: settings[key] for key in WEIGHTS if key in settings}


def scaled(experiment: Experiment, factor: float) -> Experiment:
    """The experiment with every weight of its schedule times `factor`."""
    changed = {key: value * factor for key, value in weights_of(experiment).items()}
    return experiment.model_copy(update={"beta": experiment.beta.model_copy(update=changed)})


def ordered(points: list[dict[str, float]]) -> bool:
    """Whether each next point has a lower rate and a higher distortion."""
    return all(
        after["val/rate"] < before["val/rate"] and after["val/distortion"] > before["val/distortion"]
        for before, after in pairwise(points)
    )
