"""Does the reconstruction score tell unseen classes as well as published? Fashion-MNIST and MNIST-5k, small MLPs.

The score is the mean squared error of the reconstruction at z = mu, fixed before any figure was seen. Nothing is
chosen on the test images: the model after the last step is the one that is measured.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality_data import Images, digit_as_anomaly, fashion_mnist, mnist_5k, one_left_out, one_normal
from quality_train import Figures, arrays, auroc, grey, plane_through, rounded, settle, spread, train

from vaeforge.evaluation.inference import scores

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
COMPONENTS = 20
REPORTS, BATCH = 2, 128
STEPS = {"one_normal": 1500, "one_left_out": 3000}
PUBLISHED = {"one_normal": 0.905, "one_left_out": 0.710}
DIGIT_STEPS, DIGIT_SEEDS, LATENTS, HELD_SHARE = 1000, (0, 1, 2), (2, 32), 0.2
# digit: AUROC at d = 2 and at d = 32 (Tonnaer's thesis, table 3.3)
PUBLISHED_DIGITS = {0: (0.96, 0.81), 1: (0.73, 0.09), 2: (0.97, 0.92), 4: (0.73, 0.78), 7: (0.77, 0.51)}
Protocol = Callable[..., tuple[Images, Images, NDArray[np.bool_]]]
Held = tuple[Images, Images, NDArray[np.bool_]]


def fashion(root: Path, quick: bool) -> Figures:
    """Both protocols of RaPP (Kim et al. 2020, table 2) on all ten classes, beside a plane of 20 components."""
    train_part, test_part = fashion_mnist()
    classes = range(2) if quick else range(len(CLASSES))
    protocols: dict[str, Protocol] = {"one_normal": one_normal, "one_left_out": one_left_out}
    found: Figures = {"published": PUBLISHED, "seeds": [0], "score": "mean squared error at z = mu"}
    for name, protocol in protocols.items():
        steps = 200 if quick else STEPS[name]
        rows, seconds = [], 0.0
        for label in classes:
            held = protocol(train_part, test_part, label)
            value, spent = vae_auroc(held, {"latent_dim": 20}, steps, seed=0)
            rows.append({"class": CLASSES[label], "vae": rounded(value), "pca_20": rounded(plane_auroc(held))})
            seconds += spent
            print(f"fashion: {name}: {rows[-1]}", flush=True)
        mean = {kind: rounded(float(np.mean([row[kind] for row in rows]))) for kind in ("vae", "pca_20")}
        found[name] = {"steps": steps, "classes": rows, "mean": mean, "training_seconds": rounded(seconds)}
    found["protocol"] = (
        f"784-400-20, ReLU, Bernoulli on grey values, Adam 1e-3, batch {BATCH}, last step; trained on the training "
        "images of the normal class or classes, tested on all 10,000 test images"
    )
    return found


def digits(root: Path, quick: bool) -> Figures:
    """A digit that was never trained on as the anomaly, with a narrow and a wide latent space."""
    data, seeds = mnist_5k(root), DIGIT_SEEDS[:1] if quick else DIGIT_SEEDS
    steps, rows, seconds = (100 if quick else DIGIT_STEPS), [], 0.0
    for digit, published in PUBLISHED_DIGITS.items():
        row: dict[str, Any] = {"digit": digit, "published": dict(zip(map(str, LATENTS), published, strict=True))}
        for latent in LATENTS:
            held = [digit_as_anomaly(data, digit, HELD_SHARE, seed) for seed in seeds]
            found = [vae_auroc(part, {"latent_dim": latent}, steps, s) for part, s in zip(held, seeds, strict=True)]
            row[str(latent)] = spread([value for value, _ in found])
            seconds += sum(spent for _, spent in found)
        row["same_direction"] = (row["2"]["mean"] > row["32"]["mean"]) == (published[0] > published[1])
        rows.append(row)
        print(f"digits: {row}", flush=True)
    return {
        "protocol": f"784-400-d, ReLU, Bernoulli on grey values, Adam 1e-3, batch {BATCH}, {steps} steps; trained on "
        "3,600 images of the other digits, tested on 900 others of them and all 500 of the digit",
        "seeds": list(seeds),
        "digits": rows,
        "training_seconds": rounded(seconds),
    }


def vae_auroc(held: Held, model: dict[str, Any], steps: int, seed: int) -> tuple[float, float]:
    """The reconstruction score's AUROC, and the seconds that training took."""
    images, test, anomalous = held
    overrides = {f"model.{key}": value for key, value in model.items()}
    overrides |= {"training.epochs": REPORTS, "training.steps_per_epoch": steps // REPORTS}
    overrides |= {"training.evaluation_samples": 1, "training.seed": seed, "training.batch_size": BATCH}
    trained = train(settle("mlp", overrides), arrays(images, watched(images)))
    return auroc(anomalous, scores(trained.model, grey(test))), trained.seconds


def watched(images: Images, limit: int = 256) -> Images:
    """Training images, evenly spaced, that `fit` reports on; nothing is chosen by them."""
    return images[np.linspace(0, len(images) - 1, min(limit, len(images))).round().astype(np.int64)]


def plane_auroc(held: Held, components: int = COMPONENTS) -> float:
    """AUROC of the squared distance to a plane through the training images."""
    images, test, anomalous = held
    plane, errors = plane_through(images, components), []
    for start in range(0, len(test), 2000):
        values = test[start : start + 2000].reshape(-1, images[0].size) / 255.0
        errors.append(((values - plane.reconstruct(values, components)) ** 2).mean(1))
    return auroc(anomalous, np.concatenate(errors))


PARTS: Sequence[tuple[str, Callable[[Path, bool], Figures]]] = (("fashion", fashion), ("digits", digits))
