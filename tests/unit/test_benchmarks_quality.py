"""The quality benchmark: its reference computes what our loss computes, and its divisions are what they say."""

import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from vaeforge.errors import DataError
from vaeforge_models.families import families

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmarks and their families on the path, for as long as a test lasts."""
    for folder in (BENCHMARKS / "toy", BENCHMARKS):
        monkeypatch.syspath_prepend(str(folder))
    families.cache_clear()
    yield
    families.cache_clear()


@pytest.fixture
def data() -> ModuleType:
    import quality_data

    return quality_data


def test_the_reference_and_our_loss_agree_on_a_fixed_batch() -> None:
    from quality_mnist import Reference, reference_loss
    from quality_train import settle

    from vaeforge_models.vae import DataSpec

    torch.manual_seed(0)
    reference, spec = Reference(), DataSpec((1, 28, 28))
    experiment = settle("mlp", {})
    ours = experiment.definition.build(experiment.model, spec)
    pairs = {"encoder.1": reference.hidden, "to_mu": reference.mu, "to_logvar": reference.logvar}
    pairs |= {"decoder.0": reference.back, "decoder.2": reference.out}
    ours.load_state_dict(
        {f"{name}.{kind}": value for name, layer in pairs.items() for kind, value in layer.state_dict().items()}
    )
    raw = torch.randint(0, 256, (16, 1, 28, 28), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    torch.manual_seed(2)
    probabilities, mu, logvar = reference(raw.flatten(1) / 255.0)
    cross_entropy, rate = reference_loss(raw.flatten(1) / 255.0, probabilities, mu, logvar)
    torch.manual_seed(2)
    x, output, own_mu, own_logvar = ours(raw, torch.zeros(16, 0), torch.randn(16, 20))
    torch.testing.assert_close(ours.distortion(x, output).sum(), cross_entropy)
    torch.testing.assert_close(ours.encode(x, torch.zeros(16, 0)).rate().sum(), rate)
    torch.testing.assert_close((own_mu, own_logvar), (mu, logvar))


def test_both_take_the_same_number_of_steps_and_learn(data: ModuleType) -> None:
    from quality_mnist import reference_curve
    from quality_train import arrays, settle, train

    images = np.kron(np.random.default_rng(0).integers(0, 2, (300, 4, 4)), np.ones((7, 7))).astype(np.uint8) * 255
    overrides = {"training.epochs": 2, "training.steps_per_epoch": 8, "training.evaluation_samples": 8}
    trained = train(settle("mlp", overrides), arrays(images[:200], images[200:]))
    flat = torch.from_numpy(images.reshape(300, -1)) / 255.0
    theirs = [sum(point) for point in reference_curve(flat[:200], flat[200:], seed=0, reports=2, steps=8)]
    ours = [epoch["val/nelbo_train_likelihood"] for epoch in trained.curve]
    assert len(ours) == len(theirs) == 2
    assert ours[1] < ours[0] and theirs[1] < theirs[0]
    assert ours == pytest.approx(theirs, rel=0.05)  # other weights and batches, the same optimiser and loss


def test_a_division_is_complete_disjoint_and_even(data: ModuleType) -> None:
    labels = np.repeat([3, 5, 8], [10, 20, 30])
    kept, held = data.divided(labels, 0.2, seed=0)
    assert sorted([*kept, *held]) == list(range(60))
    assert [int((labels[held] == label).sum()) for label in (3, 5, 8)] == [2, 4, 6]
    assert not np.array_equal(held, data.divided(labels, 0.2, seed=1)[1])


def numbered(labels: list[int]) -> np.ndarray:
    """Images [N, 2, 2] that hold their own number, so that one can tell which they are."""
    return np.broadcast_to(np.arange(len(labels), dtype=np.uint8)[:, None, None], (len(labels), 2, 2)).copy()


def test_one_class_is_normal_or_left_out(data: ModuleType) -> None:
    train_labels, test_labels = [0, 1, 2, 0, 1], [1, 0, 2]
    train = data.Labelled(numbered(train_labels), np.array(train_labels))
    test = data.Labelled(numbered(test_labels), np.array(test_labels))
    images, tested, anomalous = data.one_normal(train, test, 1)
    assert images[:, 0, 0].tolist() == [1, 4] and len(tested) == 3 and anomalous.tolist() == [False, True, True]
    images, tested, anomalous = data.one_left_out(train, test, 1)
    assert images[:, 0, 0].tolist() == [0, 2, 3] and len(tested) == 3 and anomalous.tolist() == [True, False, False]


def test_a_digit_as_anomaly_is_never_trained_on(data: ModuleType) -> None:
    labels = [0] * 10 + [1] * 10 + [2] * 10
    images, tested, anomalous = data.digit_as_anomaly(data.Labelled(numbered(labels), np.array(labels)), 1, 0.2, seed=0)
    trained, held = set(images[:, 0, 0].tolist()), tested[:, 0, 0]
    assert set(held[anomalous].tolist()) == set(range(10, 20))
    assert len(held[~anomalous]) == 4 and not trained & set(held.tolist())
    assert len(trained) == 16 and not trained & set(range(10, 20))


def test_cells_are_divided_so_that_only_normal_ones_are_learned_from() -> None:
    from quality_cells import division

    defect = np.repeat([0.0, 1 / 3, 2 / 3, 1.0], [20, 5, 6, 7])
    parts = division(numbered([0] * 38), defect, seed=0)
    learned = {int(v) for part in (parts.train, parts.validation) for v in part[:, 0, 0]}
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (10, 4, 6 + 13)
    assert learned < set(range(20)) and not learned & set(parts.test[:, 0, 0].tolist())
    assert parts.labels.tolist() == [0] * 6 + [1] * 13 and 1 / 3 not in parts.defect


def test_idx_files_are_read_and_others_refused(data: ModuleType, tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8)
    head = b"\x00\x00\x08\x03" + struct.pack(">3I", 2, 3, 4)
    (tmp_path / "sound.gz").write_bytes(gzip.compress(head + values.tobytes()))
    assert np.array_equal(data.read_idx(tmp_path / "sound.gz"), values.reshape(2, 3, 4))
    (tmp_path / "floats.gz").write_bytes(gzip.compress(b"\x00\x00\x0d\x01" + struct.pack(">I", 1) + b"\0" * 4))
    with pytest.raises(DataError, match="must be an IDX file of unsigned bytes"):
        data.read_idx(tmp_path / "floats.gz")


def test_order_and_factors_of_beta() -> None:
    from quality_beta import ordered, scaled, weights_of
    from quality_train import settle

    cyclical = {"beta.schedule": "cyclical", "beta.max": 2.0, "beta.min": 0.5}
    assert weights_of(scaled(settle("mlp", cyclical), 0.1)) == pytest.approx({"max": 0.2, "min": 0.05})
    assert weights_of(scaled(settle("mlp", {"beta.value": 3.0}), 10.0)) == {"value": 30.0}
    with pytest.raises(ValueError, match="no weight to multiply"):
        weights_of(settle("mlp", {"beta.schedule": "geco"}))
    falling = [{"val/rate": rate, "val/distortion": 10.0 - rate} for rate in (3.0, 2.0, 1.0)]
    assert ordered(falling) and not ordered(falling[::-1]) and not ordered([falling[0], falling[0]])


def test_the_plane_and_the_score_agree_with_hand_arithmetic() -> None:
    from quality_anomaly import plane_auroc
    from quality_mnist import compared

    train = np.zeros((4, 1, 2), dtype=np.uint8)
    train[:, 0, 0] = (0, 50, 100, 150)  # they lie on a line, so the distance to it is the second value
    test = np.array([[[10, 0]], [[200, 3]], [[70, 9]]], dtype=np.uint8)
    assert plane_auroc((train, test, np.array([False, True, True])), components=1) == 1.0
    assert plane_auroc((train, test, np.array([True, False, True])), components=1) == 0.5
    found = compared([[5.0, 3.0], [6.0, 2.0]], [[5.5, 3.0], [5.5, 3.0]])
    assert found["difference"] == [0.0, -0.5] and found["largest_difference"] == 0.5
    assert found["mean_difference_per_seed"] == 0.5 and found["best"]["ours"]["values"] == [3.0, 2.0]


def test_a_part_is_recorded_beside_the_others(tmp_path: Path) -> None:
    from quality import record

    path = tmp_path / "quality.json"
    record(path, "digits", {"values": [0.1, 0.2], "rows": [{"of": "d = 2 [nats]"}]})
    record(path, "mnist", {"seeds": [0, 1]})
    record(path, "digits", {"values": [0.3, 0.4]})
    assert json.loads(path.read_text()) == {"mnist": {"seeds": [0, 1]}, "digits": {"values": [0.3, 0.4]}}
    assert '"values": [ 0.3, 0.4 ]' in path.read_text()
