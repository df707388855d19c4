"""Evaluation of generated samples beside real ones: as distributions, and as copies of training samples.

Shapes: n samples of each set, values [n, *event] in model units, condition [n, C].

Test samples are divided by group into a reference and a control half. Every set is compared with the reference half,
the control half too: that is what a perfect generator would show. Conditions and pattern images come from the control
half, so that no set is told about the very samples it is compared with. Sets that follow no real sample are compared by
KID with both halves, twice the groups; there is one KID of a set, in metrics, tables and differences alike.

Where values are missing, real samples are filled with the training mean, as models get them, and generated ones
likewise where the control samples beside them miss a value, so that what is filled tells no set from another.

The families decide only what the sets are looked at through: images through a network, other data through the
principal components of the training samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.common_metrics import evaluation_seed, untrained_model
from vaeforge.evaluation.comparison import MODEL, ComparisonRow, compare
from vaeforge.evaluation.distribution_table import DistributionTable, distribution_table
from vaeforge.evaluation.extractor import Features, load_extractor, pca_features, rounded
from vaeforge.evaluation.intervals import unused_groups
from vaeforge.evaluation.memorization import Memorization, memorization, nearest_of_parts
from vaeforge.evaluation.pca_baseline import training_values
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel, patterns_of
from vaeforge.training.batches import centre_crop
from vaeforge_models.vae import VAE

PRIOR, DIFFUSION = "prior samples", "latent diffusion"
MEAN, UNTRAINED = "training mean", "untrained VAE"
KEYS = {PRIOR: "prior", DIFFUSION: "diffusion", MEAN: "training_mean", UNTRAINED: "untrained"}
COUNT = 200
COMPONENTS = 64
LEAST_GROUPS = 4  # two on either side, else there are no independent pairs of one side
DECODED_AT_ONCE = 64
TRAIN_AT_ONCE = 1024
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Values = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureSpace:
    """What sets of samples are looked at through.

    Attributes:
        extract: values [n, *event] in model units and groups [n] to features.
        neighbours: the name of the space that nearest training samples are looked for in; always model units.
    """

    extract: Callable[[Values, Integers], Features]
    neighbours: str = "values, model units"


@dataclass(frozen=True)
class Generated:
    """What was found, and the samples themselves.

    Attributes:
        result: `test/kid_...`, `test/frechet_...`, `test/memorisation_...`, their tables, and the comparison.
        sets: prior samples, and diffusion samples where there is a diffusion model: model units, [n, *event].
        control: the test samples that conditions and patterns were taken from.
    """

    result: EvaluationResult
    sets: dict[str, Values]
    control: Samples


def image_space(model: VAE) -> FeatureSpace:
    """EfficientNet-Lite0 on images [n, 1 or 3, H, W], rounded to 8 bits as files are.

    Raises:
        CheckpointError: if the network is not installed.
    """
    extractor = load_extractor()

    def extract(values: Values, groups: Integers) -> Features:
        raw = model.denormalise(torch.from_numpy(values)).numpy()
        return extractor(rounded(raw), groups).features

    return FeatureSpace(extract, "pixels, model units")


def pca_space(trained: TrainedModel, components: int = COMPONENTS) -> FeatureSpace:
    """The principal components of the training samples, at most `components`; for samples that are no images."""
    train = training_values(trained.model, trained.prepared.train)
    features = pca_features(train, min(components, len(train) - 1, train.shape[1]))
    return FeatureSpace(lambda values, groups: features(values.reshape(len(values), -1), groups))


def compare_generated(trained: TrainedModel, space: FeatureSpace, count: int = COUNT) -> Generated:
    """Samples of a model, and of its diffusion model if it has one, against real ones; at most `count` of each.

    Where the test samples are of fewer than four groups, which do not make two halves, validation samples are the
    control.
    """
    prepared, seed = trained.prepared, evaluation_seed(trained.experiment)
    reference, control, groups = _halves(prepared, count, seed)
    made = generate(trained, control, seed)
    alike = {
        name: values if name == MEAN else _missing_as(trained.model, control, values) for name, values in made.items()
    }
    real = {name: _values(trained.model, part) for name, part in (("reference", reference), ("control", control))}
    conditional = bool(control.condition.shape[1])
    patterned = trained.diffusion is not None and trained.diffusion.settings.conditional
    own = unused_groups(len(control), *groups)
    seen = {}
    for name, values in alike.items():
        follows = (conditional and name != MEAN) or (patterned and name == DIFFUSION)
        seen[name] = _extracted(space, name, values, groups[1] if follows else own)
    real_features = [space.extract(real[name], of) for name, of in zip(real, groups, strict=True)]
    alone = not (conditional or patterned)  # a set that follows real samples is not compared with those very ones
    table = distribution_table(real_features[0], real_features[1], seen, seed, against_both=alone)
    wanted = {name: made[name] for name in (PRIOR, DIFFUSION) if name in made}
    checks = memorised(
        trained, {name: alike[name] for name in wanted}, np.concatenate(list(real.values())), space.neighbours
    )
    compared = _compared(table)
    metrics = _metrics(table, checks) | _gain(compared)
    tables = {"generated": table.lines(), "memorisation": [{"set": name, **asdict(c)} for name, c in checks.items()]}
    return Generated(EvaluationResult(metrics, compared, tables=tables), wanted, control)


def generate(trained: TrainedModel, control: Samples, seed: int) -> dict[str, Values]:
    """One sample for each control sample from every source: its condition, and its pattern where diffusion sees one."""
    model, count = trained.model, len(control)
    condition = torch.from_numpy(np.array(control.condition))
    z = torch.randn(count, model.latent_dim, generator=torch.Generator().manual_seed(derive(seed, "prior")))
    mean = training_values(model, trained.prepared.train).mean(0).reshape(1, *model.event_shape)
    made = {
        MEAN: np.repeat(mean, count, axis=0),
        UNTRAINED: decoded(untrained_model(trained.experiment, trained.prepared), z, condition),
        PRIOR: decoded(model, z, condition),
    }
    if trained.diffusion is not None:
        patterns = None
        if trained.diffusion.settings.conditional:
            patterns = patterns_of(torch.from_numpy(_values(model, control)))
        generator = torch.Generator().manual_seed(derive(seed, "diffusion"))
        drawn = trained.diffusion.sample(count, generator, condition=patterns)
        made[DIFFUSION] = decoded(model, drawn, condition)
    return made


@torch.no_grad()
def decoded(model: VAE, z: Tensor, condition: Tensor) -> Values:
    """What the decoder makes of latents z [n, L], model units: [n, *event]."""
    parts = zip(torch.split(z, DECODED_AT_ONCE), torch.split(condition, DECODED_AT_ONCE), strict=True)
    return torch.cat([model.mean(model.decode(part, given)) for part, given in parts]).numpy()


def _values(model: VAE, samples: Samples) -> Values:
    """Samples in model units, filled, their centres where they have room for crops: [n, *event]."""
    cropped = (model.normalise(centre_crop(raw, model.event_shape)) for raw, _ in samples.batches())
    return torch.cat([model.filled(x).float() for x in cropped]).numpy()


def _missing_as(model: VAE, samples: Samples, values: Values) -> Values:
    """Generated values [n, *event] in model units, filled where the samples beside them lack a value."""
    if not model.masked:
        return values
    holed = np.where(np.isnan(samples.x), np.float32(np.nan), values)
    return model.filled(torch.from_numpy(holed)).numpy()


def _halves(prepared: Prepared, count: int, seed: int) -> tuple[Samples, Samples, tuple[Integers, Integers]]:
    """Reference and control, equally many and without a common group, and the groups of both."""
    generator = np.random.default_rng(derive(seed, "halves"))
    groups = prepared.test_groups
    names = generator.permutation(np.unique(groups))
    test = generator.permutation(len(prepared.test))
    if len(names) < LEAST_GROUPS:
        spare = generator.permutation(len(prepared.validation))
        n = min(len(test), len(spare), count)
        test, spare = np.sort(test[:n]), np.sort(spare[:n])
        return prepared.test[test], prepared.validation[spare], (groups[test], unused_groups(n, groups))
    chosen = np.isin(groups[test], names[: len(names) // 2])
    n = min(int(chosen.sum()), int((~chosen).sum()), count)
    first, second = np.sort(test[chosen][:n]), np.sort(test[~chosen][:n])
    return prepared.test[first], prepared.test[second], (groups[first], groups[second])


def _extracted(space: FeatureSpace, name: str, values: Values, groups: Integers) -> Features:
    """Features of one set; the training mean goes through the network once."""
    if name != MEAN:
        return space.extract(values, groups)
    short = space.extract(values[:2], groups[:2])
    return replace(short, values=np.repeat(short.values[:1], len(values), axis=0), groups=groups)


def memorised(
    trained: TrainedModel, sets: Mapping[str, Values], held_out: Values, space: str
) -> dict[str, Memorization]:
    """Whether samples of each set copy training samples, beside held-out real ones; all in model units.

    Args:
        trained: whose training samples may have been copied.
        sets: [n, *event] by name.
        held_out: [m, *event], real samples that were not trained on.
        space: what the values are, for the report.

    Raises:
        DataError: if more than half of the held-out samples are in the training set.
    """
    model, train = trained.model, trained.prepared.train
    parts = (
        model.filled(model.normalise(centre_crop(raw, model.event_shape))).float().numpy()
        for raw, _ in train.batches(TRAIN_AT_ONCE)
    )
    found, count = nearest_of_parts({**sets, "": held_out}, parts), len(train)
    return {name: memorization(found[name], found[""], count, space) for name in sets}


def _compared(table: DistributionTable) -> list[ComparisonRow]:
    """The best that the trained model has, diffusion or else prior samples, beside every other set, by KID."""
    names = [row.name for row in table.rows]
    model = DIFFUSION if DIFFUSION in names else PRIOR
    if model not in table.kids:
        return []
    found = {MODEL if name == model else name: table.kids[name] for name in names if name in table.kids}
    return compare(f"KID ({table.extractor}) of {model}", "lower", found | {MODEL: found.pop(MODEL)})


def _gain(rows: list[ComparisonRow]) -> dict[str, float]:
    """How much better diffusion samples are than prior samples, below 0 for better; nothing without diffusion."""
    name, found = "test/kid_diffusion_less_prior", dict[str, float | None]()
    for row in rows:
        if row.name == PRIOR:
            found |= {name: row.difference, f"{name}_low": row.difference_low, f"{name}_high": row.difference_high}
    return {key: value for key, value in found.items() if value is not None}


def _metrics(table: DistributionTable, checks: Mapping[str, Memorization]) -> dict[str, float]:
    metrics = {"test/generated_count": float(table.n)}
    for row in table.rows:
        key = KEYS.get(row.name, "real")
        metrics[f"test/frechet_{key}"] = row.frechet
        if row.kid is not None:
            metrics[f"test/kid_{key}"] = row.kid
    for name, check in checks.items():
        for what in ("share_closer", "share_copies", "ratio_of_medians"):
            metrics[f"test/memorisation_{what}_{KEYS[name]}"] = check.metrics()[what]
    return metrics
