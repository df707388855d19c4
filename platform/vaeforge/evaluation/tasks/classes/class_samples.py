"""Generated images of a class-conditional model beside real ones, over all classes and class by class.

Shapes: n images of each set, [n, C, H, W] in 0..255, labels [n].

Three sets have the same labels: decodings of the prior, decodings of the aggregate posteriors of the classes (see
`library`), and of the prior by the model before its first step. The reference is test images, the control validation
images, as many of each class as both have: no image is in both, and the classes have the same shares everywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge.evaluation.common_metrics import evaluation_seed, untrained_model
from vaeforge.evaluation.distribution_table import distribution_table
from vaeforge.evaluation.extractor import Features, load_extractor, pca_features, rounded
from vaeforge.evaluation.images import decoded
from vaeforge.evaluation.latent_posteriors import LatentLibrary, class_names, conditions_of, labels_of
from vaeforge.evaluation.pca_baseline import FIT_SAMPLES, training_values
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel

PRIOR, AGGREGATE, UNTRAINED = "prior", "aggregate posterior", "untrained VAE"
KEYS = {PRIOR: "prior", AGGREGATE: "aggregate", UNTRAINED: "untrained"}
ALL = "all"
NETWORK_IMAGES = 120  # of each set that go through the network: some 50 a second on one core
PLANE_IMAGES = 1000
COMPONENTS = 64
Images = NDArray[np.uint8]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ClassSets:
    """Real and generated images of the same labels.

    Attributes:
        labels: [n].
        reference: test images; `control` validation images.
        generated: by the name of the source.
    """

    labels: Integers
    reference: Images
    control: Images
    generated: dict[str, Images]

    def where(self, chosen: NDArray[np.bool_]) -> "ClassSets":
        """The images for which `chosen` [n] holds."""
        generated = {name: images[chosen] for name, images in self.generated.items()}
        return ClassSets(self.labels[chosen], self.reference[chosen], self.control[chosen], generated)


def class_sets(trained: TrainedModel, library: LatentLibrary, count: int = PLANE_IMAGES) -> ClassSets:
    """At most `count` images of each set, the same number of each class as far as there are enough real ones."""
    prepared, seed = trained.prepared, derive(evaluation_seed(trained.experiment), "class sets")
    rng = np.random.default_rng(seed)
    test, validation = labels_of(prepared.test), labels_of(prepared.validation)
    share = max(1, count // len(class_names(prepared)))
    picked: list[tuple[Integers, Integers]] = []
    for label in np.intersect1d(test, validation):
        first, second = (rng.permutation(np.flatnonzero(known == label)) for known in (test, validation))
        n = min(len(first), len(second), share)
        picked.append((first[:n], second[:n]))
    reference, control = (np.concatenate(side) for side in zip(*picked, strict=True))
    labels = test[reference]
    made = make_images(trained, library, labels, seed)
    real = rounded(prepared.test[reference].x), rounded(prepared.validation[control].x)
    return ClassSets(labels, *real, made)


def make_images(trained: TrainedModel, library: LatentLibrary, labels: Integers, seed: int) -> dict[str, Images]:
    """One image for each label from every source, rounded to 8 bits as files are.

    Args:
        trained: the model.
        library: latent posteriors of its training images.
        labels: int64 [n], the class of each image.
        seed: of the draws.
    """
    model, prepared = trained.model, trained.prepared
    condition = conditions_of(labels, prepared.train.condition.shape[1])
    first, second = (torch.Generator().manual_seed(derive(seed, source)) for source in (PRIOR, AGGREGATE))
    z = torch.randn(len(labels), model.latent_dim, generator=first)
    made = {
        PRIOR: decoded(model, z, condition),
        AGGREGATE: decoded(model, library.aggregate(labels, second), condition),
        UNTRAINED: decoded(untrained_model(trained.experiment, prepared), z, condition),
    }
    return {name: rounded(images) for name, images in made.items()}


def distribution_lines(trained: TrainedModel, sets: ClassSets, count: int = NETWORK_IMAGES) -> list[dict[str, Any]]:
    """Fréchet distance and KID of every set, over all classes and for each class, through two extractors.

    The image network sees `count` images of each set, the principal components of the training images all of them:
    1280 features of a dozen images say little of a class.

    Raises:
        CheckpointError: if the image network is not installed.
    """
    names, seed = class_names(trained.prepared), evaluation_seed(trained.experiment)
    few = sets.where(first_of_each(sets.labels, max(2, count // len(names))))
    network = load_extractor()
    lines = _lines(few, lambda images, groups: network(images, groups).features, names, seed)
    values = training_values(trained.model, trained.prepared.train, FIT_SAMPLES)
    plane = pca_features(values, min(COMPONENTS, len(values) - 1, values.shape[1]))

    def project(images: Images, groups: Integers) -> Features:
        return plane(trained.model.normalise(torch.from_numpy(images)).flatten(1).numpy(), groups)

    return lines + _lines(sets, project, names, seed)


def first_of_each(labels: Integers, count: int) -> NDArray[np.bool_]:
    """The first `count` of each label: [n]."""
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        chosen[np.flatnonzero(labels == label)[:count]] = True
    return chosen


def _lines(
    sets: ClassSets, extract: Callable[[Images, Integers], Features], names: tuple[str, ...], seed: int
) -> list[dict[str, Any]]:
    """One pass through an extractor, then a table over all classes and one for each class with two images or more.

    Each image is a group of its own; images that were made from the same place in the labels are one group, because
    two sources share their latents.
    """
    count, everywhere = len(sets.labels), np.arange(len(sets.labels))
    reference, control = extract(sets.reference, everywhere), extract(sets.control, everywhere + count)
    seen = {name: extract(images, everywhere + 2 * count) for name, images in sets.generated.items()}
    places = {ALL: everywhere}
    if len(names) > 1:
        places |= {name: np.flatnonzero(sets.labels == label) for label, name in enumerate(names)}
    lines: list[dict[str, Any]] = []
    for name, place in places.items():
        if len(place) >= 2:
            own = {source: _at(features, place) for source, features in seen.items()}
            table = distribution_table(_at(reference, place), _at(control, place), own, derive(seed, name))
            lines += [{"class": name, **line} for line in table.lines()]
    return lines


def _at(features: Features, place: Integers) -> Features:
    return Features(features.values[place], features.groups[place], features.extractor, features.weights)


def distribution_metrics(lines: list[dict[str, Any]]) -> dict[str, float]:
    """`test/kid_...` and `test/frechet_...` over all classes, through the image network, and `..._pca` ones."""
    metrics: dict[str, float] = {}
    for line in lines:
        if line["class"] == ALL:
            end = "_pca" if line["extractor"].startswith("PCA") else ""
            key = KEYS.get(line["name"], "real") + end
            found = {f"test/kid_{key}{which}": line[f"kid{which}"] for which in ("", "_low", "_high")}
            metrics |= {name: value for name, value in found.items() if value is not None}
            metrics |= {f"test/frechet_{key}": line["frechet"], f"test/generated_count{end}": float(line["n"])}
    return metrics


def per_class(
    values: Mapping[str, NDArray[np.float64]], labels: Integers, names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The mean of each named value [n] for each class that has samples."""
    lines: list[dict[str, Any]] = []
    for label, name in enumerate(names):
        mine = labels == label
        if mine.any():
            lines.append(
                {"class": name, "count": int(mine.sum())} | {k: float(v[mine].mean()) for k, v in values.items()}
            )
    return lines
