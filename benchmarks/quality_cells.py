"""Does the endoscopy family find defects in photographs that nobody made for it? Electroluminescence of solar cells.

Monocrystalline cells of elpv-dataset 1.0.0.post1 at 48 pixels, one grey channel. Normal is a defect probability of 0,
anomalous one of 0.67 or 1; cells of 0.33 are left out. Training and validation see normal cells alone. Everything that
is chosen is chosen on validation: the likelihood with its beta, augmentation and the learning rate's schedule by
`val/nelbo` of validation normals, the score (`mse`, the mean squared error at z = mu) before any figure was seen. Cells
are the independent units of all intervals.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality_data import Images, mono_cells
from quality_train import Figures, Floats, Trained, arrays, auroc, grey, plane_through, rounded, settle, train

from vaeforge.config.experiment import Experiment
from vaeforge.evaluation.anomaly_scores import anomaly_scores, fit_reference
from vaeforge.evaluation.comparison import MODEL, compare_auroc
from vaeforge.evaluation.inference import scores
from vaeforge.evaluation.pca_baseline import PcaBaseline
from vaeforge.seeds import derive
from vaeforge.training.loop import untrained
from vaeforge_models.vae import VAE

SIDE, COMPONENTS, SEED, SEEDS = 48, 48, 0, (0, 1, 2)
TEST_SHARE, VALIDATION_SHARE = 0.3, 0.2
SCORE = "mse"
SAID_ELSEWHERE = 0.936  # PCA of 48 components at 48 pixels, another division
LIKELIHOODS: list[dict[str, Any]] = [
    {"model.likelihood": "squared_error", "beta.value": 0.01},
    {"model.likelihood": "calibrated", "beta.value": 1.0},
]
WAYS: list[dict[str, Any]] = [
    {"training.augment": False, "optimizer.schedule": "cosine"},
    {"training.augment": True, "optimizer.schedule": "cosine"},
    {"training.augment": True, "optimizer.schedule": "plateau"},
]
CANDIDATES = [likelihood | way for likelihood in LIKELIHOODS for way in WAYS]
OVERRIDES: dict[str, Any] = {
    "beta.schedule": "constant",
    "model.width": 16,
    "model.latent_dim": 64,
    "training.epochs": 30,
    "training.steps_per_epoch": 100,
    "training.batch_size": 32,
    "training.evaluation_samples": 1,
    "training.plateau_patience": 3,
}


@dataclass(frozen=True)
class Division:
    """Training, validation and test images, and for each test image its probability of a defect."""

    train: Images
    validation: Images
    test: Images
    defect: Floats

    @property
    def labels(self) -> NDArray[np.int64]:
        """0 normal, 1 anomalous."""
        return (self.defect > 0).astype(np.int64)


def division(images: Images, defect: Floats, seed: int) -> Division:
    """Normal cells in three parts; the test part with every cell of a probability of at least 2/3."""
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(defect == 0))
    tested, watched = round(TEST_SHARE * len(normal)), round(VALIDATION_SHARE * len(normal))
    held = np.concatenate([normal[:tested], np.flatnonzero(defect > 0.5)])
    parts = (normal[tested + watched :], normal[tested : tested + watched], held)
    return Division(*(images[part] for part in parts), defect[held])


def run(root: Path, quick: bool) -> Figures:
    """The chosen model's scores and intervals beside a plane, the training mean and the untrained model."""
    cells = mono_cells(SIDE)
    parts = division(cells.images, cells.defect, SEED)
    tried = try_all(parts, quick)
    chosen, trained = tried[0].experiment, tried[0].trained
    augmented = next((one for one in tried if one.experiment.training.augment), tried[0])
    learned = arrays(parts.train, parts.validation)
    found = [trained, *(train(with_seed(chosen, seed), learned, best=True) for seed in SEEDS[1:])]
    scored = all_scores(trained.model, parts)
    before = all_scores(untrained(chosen, learned.spec).eval(), parts)[SCORE]
    plane = plane_through(parts.train, COMPONENTS)
    errors = plane.errors(trained.model, grey(parts.test))
    others = {"distance to mean": errors[:, 0], "PCA 4": errors[:, 4], "PCA 16": errors[:, 16], "PCA 48": errors[:, 48]}
    others["untrained VAE"] = before
    return {
        "protocol": f"{len(parts.train)} normal cells to train, {len(parts.validation)} to choose, "
        f"{int((parts.labels == 0).sum())} normal and {int(parts.labels.sum())} anomalous to test; {SIDE} pixels",
        "published": {"PCA 48, another division": SAID_ELSEWHERE},
        "seeds": list(SEEDS),
        "settings": OVERRIDES,
        "candidates": [one.told for one in tried],
        "validation_mse": plane_errors(plane, trained, parts),
        "score": SCORE,
        "anomalous_from_0.67": compared(others | {MODEL: scored[SCORE]}, parts, 0.5),
        "anomalous_only_1": compared(others | {MODEL: scored[SCORE]}, parts, 0.9),
        "best_augmented": {
            **augmented.told,
            "anomalous_from_0.67": compared(
                others | {MODEL: all_scores(augmented.trained.model, parts)[SCORE]}, parts, 0.5
            ),
        },
        "all_scores": listed(scored, parts),
        "seeds_auroc": [rounded(seed_auroc(each, parts)) for each in found],
        "training_seconds": rounded(sum(each.seconds for each in found)),
    }


@dataclass(frozen=True)
class Tried:
    """A candidate, trained, and its figures on validation normals."""

    experiment: Experiment
    trained: Trained
    told: dict[str, Any]


def try_all(parts: Division, quick: bool) -> list[Tried]:
    """All candidates, that with the lowest `val/nelbo` on validation normals first."""
    found = []
    for candidate in CANDIDATES[:1] if quick else CANDIDATES:
        experiment = settle("endoscopy", OVERRIDES | candidate | _short(quick))
        trained = train(experiment, arrays(parts.train, parts.validation), best=True)
        epoch = min(trained.curve, key=lambda metrics: metrics["val/nelbo"])
        told = {key: rounded(epoch[f"val/{key}"]) for key in ("nelbo", "mse", "rate", "active_units")}
        found.append(Tried(experiment, trained, candidate | told))
        print(f"cells: {found[-1].told}", flush=True)
    return sorted(found, key=lambda one: float(one.told["nelbo"]))


def plane_errors(plane: PcaBaseline, trained: Trained, parts: Division) -> dict[str, float]:
    """Mean squared error per value of validation normals at z = mu, beside planes of 4, 16 and 48 components."""
    samples = grey(parts.validation)
    errors = plane.errors(trained.model, samples).mean(0)
    own = float(scores(trained.model, samples).mean())
    return {"model": rounded(own)} | {f"PCA {k}": rounded(float(errors[k])) for k in (4, 16, 48)}


def _short(quick: bool) -> dict[str, Any]:
    return {"training.epochs": 2, "training.steps_per_epoch": 5} if quick else {}


def with_seed(experiment: Experiment, seed: int) -> Experiment:
    """The experiment under another seed."""
    return experiment.model_copy(update={"training": experiment.training.model_copy(update={"seed": seed})})


def all_scores(model: VAE, parts: Division) -> dict[str, Floats]:
    """Every score that evaluation has, of each test cell."""
    fitted = fit_reference(model, grey(parts.train), grey(parts.validation), draws=8, seed=derive(SEED, "draws"))
    return anomaly_scores(model, grey(parts.test), fitted)


def compared(scored: dict[str, Floats], parts: Division, least: float) -> list[dict[str, Any]]:
    """AUROC of each score and the model's difference from it, with intervals, for defects of at least `least`."""
    kept = (parts.defect == 0) | (parts.defect > least)
    groups = np.arange(kept.sum())
    rows = compare_auroc({k: v[kept] for k, v in scored.items()}, parts.labels[kept], groups)
    return [{k: rounded(v) if isinstance(v, float) else v for k, v in asdict(row).items()} for row in rows]


def listed(scored: dict[str, Floats], parts: Division) -> dict[str, list[float]]:
    """AUROC of each score with the ends of its interval; the listing had no part in any choice."""
    rows = compared({name: values for name, values in scored.items() if name != SCORE} | {MODEL: scored[SCORE]}, parts,
                    0.5)  # fmt: skip
    return {SCORE if row["name"] == MODEL else row["name"]: [row["value"], row["low"], row["high"]] for row in rows}


def seed_auroc(trained: Trained, parts: Division) -> float:
    """AUROC of the fixed score for one seed's model."""
    return auroc(parts.labels == 1, all_scores(trained.model, parts)[SCORE])
