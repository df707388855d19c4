"""Per-sample scores of an evaluation: their mean is the metric; their file is read with care. Looks are counted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from manifest_samples import model_manifest
from samples import random_prepared
from scoring import untrained
from vaeforge.errors import DataError
from vaeforge.evaluation.common_metrics import nelbo_metrics
from vaeforge.evaluation.inference import scores
from vaeforge.evaluation.per_sample_scores import PerSampleScores, read_per_sample_scores
from vaeforge.evaluation.sample_likelihoods import per_sample_arrays, training_mean_likelihoods
from vaeforge.evaluation.test_set_usage import looks, record_look
from vaeforge.manifests.lineage import Lineage
from vaeforge.paths import Project
from vaeforge.registry.lineage import comparison_number, look_number, look_of, number_after
from vaeforge.samples import Samples
from vaeforge.training.batches import centre_crop
from vaeforge_models.families import families
from vaeforge_models.vae import build_seeded

SAMPLES = 3
IDENTITY = "d" * 64


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(families()))
def test_the_mean_of_the_evidence_is_the_metric(name: str, tmp_path: Path) -> None:
    prepared = random_prepared(families()[name], tmp_path, test=70)  # more than one chunk
    model = untrained(name)
    found = per_sample_arrays(model, prepared, SAMPLES, variance=0.3)
    expected = nelbo_metrics(model, prepared.test, SAMPLES, 0.3)["test/nelbo"]
    assert found["nll"].mean() == pytest.approx(expected, rel=1e-9)
    assert {key: (values.dtype, values.shape) for key, values in found.items()} == {
        "nll": (np.float64, (70,)),
        "score": (np.float64, (70,)),
        "labels": (np.int64, (70,)),
        "groups": (np.int64, (70,)),
        "training_mean_nll": (np.float64, (70,)),
    }
    np.testing.assert_array_equal(found["score"], scores(model, prepared.test))
    with torch.no_grad():
        one = nelbo_metrics(model, prepared.test, SAMPLES, 0.6)["test/nelbo"]
    assert per_sample_arrays(model, prepared, SAMPLES, variance=0.6)["nll"].mean() == pytest.approx(one, rel=1e-9)


@pytest.mark.parametrize("name", ["lipid", "endoscopy"])
def test_the_training_means_likelihood_is_that_of_scipys_normal(name: str, tmp_path: Path) -> None:
    family = families()[name]
    prepared = random_prepared(family, tmp_path, test=7)
    build: Any = family.build
    model = build_seeded(build, family.settings(), family.example, seed=0).eval()
    found = training_mean_likelihoods(model, prepared)

    def values(samples: Samples, cropped: bool = False) -> Any:
        raw = torch.from_numpy(np.array(samples.x))
        return model.normalise(centre_crop(raw, model.event_shape) if cropped else raw).flatten(1).double().numpy()

    mean = values(prepared.train, cropped=True).mean(0)
    sd = np.sqrt(((values(prepared.validation) - mean) ** 2).mean())
    expected = -stats.norm.logpdf(values(prepared.test), mean, sd).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_without_a_variance_there_is_no_likelihood(tmp_path: Path) -> None:
    family = families()["lipid"]
    prepared = random_prepared(family, tmp_path)
    build: Any = family.build
    model = build_seeded(build, family.settings(), family.example, seed=0).eval()
    assert np.isnan(per_sample_arrays(model, prepared, 1, variance=0.0)["nll"]).all()


def arrays(count: int = 4) -> dict[str, Any]:
    numbers = np.arange(count)
    return {"nll": numbers * 1.0, "score": numbers * 2.0, "labels": numbers % 2, "groups": numbers // 2}


def test_evidence_is_read_back(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "evidence.npz", **arrays())
    found = read_per_sample_scores(tmp_path / "evidence.npz")
    assert found.finite
    assert found.mean_nll("maps") == 1.5
    assert found.mean_nll("anomaly") == 1.0  # samples 0 and 2 are normal
    assert found.same_test(found)
    assert found.training_mean_nll is None  # as in evidence of earlier versions
    np.savez_compressed(tmp_path / "evidence.npz", **arrays(), training_mean_nll=np.ones(4))
    newer = read_per_sample_scores(tmp_path / "evidence.npz")
    assert newer.training_mean_nll is not None and newer.training_mean_nll.tolist() == [1.0] * 4
    assert not found.same_test(PerSampleScores(found.nll, found.score, found.labels, found.groups + 1))


@pytest.mark.parametrize(
    "change",
    [
        {"nll": np.zeros(3)},
        {"labels": np.zeros(4)},
        {"score": np.zeros((4, 1))},
        {"nll": None},
        {"groups": np.array([None] * 4, dtype=object)},
        {"training_mean_nll": np.zeros(3)},
        {"training_mean_nll": np.zeros(4, dtype=np.int64)},
    ],
)
def test_strange_evidence_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    content = {key: value for key, value in (arrays() | change).items() if value is not None}
    np.savez_compressed(tmp_path / "evidence.npz", **content)
    with pytest.raises(DataError, match="run `vaeforge evaluate` again"):
        read_per_sample_scores(tmp_path / "evidence.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_damaged_and_missing_evidence_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "evidence.npz").write_bytes(content)
    with pytest.raises(DataError, match="run `vaeforge evaluate` again"):
        read_per_sample_scores(tmp_path / "evidence.npz")


def lineage(checkpoint: str, identity: str = IDENTITY) -> Lineage:
    known = {"path": "best.pt", "sha256": checkpoint, "epoch": 1}
    return model_manifest(family="lipid", data_identity=identity, checkpoint=known).lineage


def test_each_checkpoint_is_one_look_at_its_test_set(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for checkpoint in ("a", "b", "a", "c"):
        record_look(project, lineage(checkpoint))
    record_look(project, lineage("x", "e" * 64))
    assert looks(project, IDENTITY) == ["a", "b", "c"]
    assert looks(project, "e" * 64) == ["x"]
    assert [look_number(project, lineage(one), []) for one in ("a", "b", "c", "new")] == [1, 2, 3, 4]
    tags = {"vaeforge.checkpoint_sha256": "elsewhere", "vaeforge.data_identity": IDENTITY}
    registered: Any = SimpleNamespace(tags=tags)
    assert look_number(project, lineage("b"), [registered]) == 3


def test_judging_a_version_again_is_no_new_look() -> None:
    def version(number: int, identity: str = IDENTITY, **tags: str) -> Any:
        known = {"vaeforge.data_identity": identity} | {f"vaeforge.{key}": value for key, value in tags.items()}
        return SimpleNamespace(version=str(number), tags=known)

    known = [version(1), version(2, "e" * 64), version(3), version(4, test_looks="7")]
    assert look_of(known[3], known) == 7
    assert [look_of(one, known) for one in known[:3]] == [1, 1, 2]  # earlier releases wrote no such tag
    assert look_of(version(5, test_looks="nan"), known) == 3


def test_only_refused_models_spend_the_test_set() -> None:
    def version(number: int, look: int, outcome: str | None, verdict: str = "challenger: x") -> Any:
        told = {} if outcome is None else {"vaeforge.test_comparison": outcome}
        tags = {"vaeforge.data_identity": IDENTITY, "vaeforge.test_looks": str(look), "vaeforge.verdict": verdict}
        return SimpleNamespace(version=str(number), tags=tags | told)

    outcomes = ["no rival", "passed", "refused", "not evaluated"]
    known = [version(number, number, outcome) for number, outcome in enumerate(outcomes, 1)]
    assert [number_after(look, IDENTITY, known) for look in (1, 2, 3, 4, 5)] == [1, 1, 1, 2, 2]
    assert number_after(9, IDENTITY, known) == 6  # four more were measured and never registered
    assert comparison_number(known[2], known) == 1  # judged again, it spends nothing more
    old = [version(1, 1, None, "champion: x"), version(2, 2, None), version(3, 3, None, "champion: promoted by anna")]
    assert number_after(4, IDENTITY, old) == 2
    assert number_after(2, "e" * 64, known) == 2


def test_a_look_that_is_none_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path)
    record_look(project, lineage("a"))
    path = tmp_path / "artifacts/test_looks.jsonl"
    path.write_text(path.read_text() + "nonsense\n")
    with pytest.raises(DataError, match=r"test_looks\.jsonl, line 2"):
        looks(project, IDENTITY)
