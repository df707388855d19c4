"""Drift: its numbers against SciPy and against arithmetic on paper, its verdicts against their rules."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from scipy import stats
from typer.testing import CliRunner

from serving import write_bundle
from vaeforge.cli.serve import app
from vaeforge.errors import DataError, RegistryError
from vaeforge.package.bundle import Bundle
from vaeforge.package.contract import read_contract
from vaeforge.score.manifest import (
    ScoreCounts,
    ScoredInput,
    ScoreManifest,
    ScoringGraph,
    ScoringModel,
    write_score_manifest,
)
from vaeforge.serve.drift import LEAST, DriftReference, anomaly_rate, compare, reference_of
from vaeforge.serve.scores import file_of, read_scores
from vaeforge.serve.two_samples import Groups, exceedance_p, groups_of, stability_index


def reference(latents: int = 4, count: int = 1000, threshold: float = 1.645) -> DriftReference:
    rng = np.random.default_rng(0)
    return DriftReference(rng.normal(size=count), rng.normal(size=(count, latents)), threshold, 0.05)


def normal(count: int, latents: int = 4, shift: float = 0.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, count), rng.normal(size=(count, latents))


def alone(count: int) -> Groups:
    """Items that do not depend on each other."""
    return Groups(np.arange(count), count)


def test_the_stability_index_is_what_paper_says() -> None:
    """Ten references, one a decile; ten inputs, all in the last one."""
    known, inputs = np.arange(10.0), np.full(10, 9.5)
    # p: (1 + 0.5) / (10 + 5) = 0.1 in each bin; q: 0.5 / 15 in nine, 10.5 / 15 in the last
    expected = 9 * (0.5 / 15 - 0.1) * math.log(0.5 / 15 / 0.1) + (10.5 / 15 - 0.1) * math.log(10.5 / 15 / 0.1)
    assert stability_index(known, alone(10), inputs, alone(10)) == pytest.approx(expected, rel=1e-12)
    assert stability_index(known, alone(10), known, alone(10)) == 0


def test_tied_references_make_fewer_bins() -> None:
    """A constant reference has one edge: at or below it, and above."""
    # p: 100.5 / 101 and 0.5 / 101; q: 50.5 / 101 each
    p, q = np.array([100.5, 0.5]) / 101, np.array([50.5, 50.5]) / 101
    inputs = np.repeat([1.0, 2.0], 50)
    found = stability_index(np.ones(100), alone(100), inputs, alone(100))
    assert found == pytest.approx(float(((q - p) * np.log(q / p)).sum()))


def test_distances_and_probabilities_are_scipys() -> None:
    known, (score, mu) = reference(), normal(300, shift=0.3)
    found = compare(known, score, mu)
    assert found.score is not None
    expected = stats.ks_2samp(known.score, score, method="asymp")
    assert (found.score.statistic, found.score.p) == pytest.approx((expected.statistic, expected.pvalue))
    raw = [stats.ks_2samp(known.mu[:, index], mu[:, index], method="asymp").pvalue for index in range(4)]
    adjusted = [min(1.0, min(p * 4 / (rank + 1) for rank, p in enumerate(sorted(raw)) if p >= own)) for own in raw]
    assert [shift.p for shift in found.latents] == pytest.approx(adjusted)


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "stable"), (0.4, "moderate"), (1.0, "drifted")])
def test_a_verdict_follows_the_shift(shift: float, verdict: str) -> None:
    found = compare(reference(), *normal(1000, shift=shift))
    assert found.verdict == verdict
    assert (found.reasons == ()) == (verdict == "stable")


def test_few_inputs_of_the_same_kind_are_stable() -> None:
    """With 50 inputs chance alone brings the index near 0.2; the p-value keeps that from being called drift."""
    known = reference()
    found = [compare(known, *normal(LEAST, seed=seed)) for seed in range(40)]
    assert all(one.verdict == "stable" for one in found)
    assert sum(one.score.index >= 0.1 for one in found if one.score) > 10


def test_a_latent_dimension_alone_is_found_and_named() -> None:
    score, mu = normal(1000)
    mu[:, 2] += 2
    found = compare(reference(), score, mu)
    assert found.verdict == "drifted"
    assert [reason.split(":")[0] for reason in found.reasons] == ["mu_2"]
    assert compare(reference(), score, None).verdict == "stable"


def test_too_few_inputs_say_nothing() -> None:
    found = compare(reference(), *normal(LEAST - 1))
    assert (found.verdict, found.score) == ("unknown", None)
    assert found.reasons == (
        "cannot be evaluated: 49 inputs and 1000 reference samples, at least 50 of each are needed",
    )
    assert compare(reference(count=20), *normal(LEAST)).verdict == "unknown"


def test_the_share_of_anomalous_inputs_has_an_exact_interval() -> None:
    share = anomaly_rate(reference(), alone(1000), np.repeat([0.0, 2.0], [90, 10]), alone(100))
    assert (share.value, share.expected) == (0.1, pytest.approx(0.05))
    # Clopper-Pearson: quantiles of beta distributions
    assert share.low == pytest.approx(stats.beta.ppf(0.005, 10, 91))
    assert share.high == pytest.approx(stats.beta.ppf(0.995, 11, 90))


def test_many_anomalous_inputs_are_moderate_at_least() -> None:
    """Every tenth input far out leaves the deciles nearly as they are."""
    score, mu = normal(1000)
    score[::9] += 50.0
    found = compare(reference(), score, mu)
    assert found.verdict in ("moderate", "drifted")
    assert any(reason.startswith("anomaly rate: 0.1") for reason in found.reasons)


def test_a_reference_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "model")
    np.savez(folder / "reference.npz", score=np.zeros(5), mu=np.zeros((5, 2)))
    with pytest.raises(RegistryError, match=r"score \[5\] and mu \[5, 2\], must be \[N\] and \[N, 3\]"):
        reference_of(Bundle(folder))


def write_scores(path: Path, latents: int = 3, mean: float = 128.0, count: int = 400, flag: str = "is_anomaly") -> Path:
    """A table as `vaeforge score --latents true` writes it; earlier versions called the flag `strange`."""
    rng = np.random.default_rng(3)
    mu = rng.normal(mean, 10, (count, latents))
    columns = {"item": [f"{number}.png" for number in range(count)], "score": mu.mean(axis=1)}
    columns |= {flag: columns["score"] > 150.0} | {f"mu_{index}": mu[:, index] for index in range(latents)}
    table = pyarrow.table(columns)
    write = pyarrow.parquet.write_table if path.suffix == ".parquet" else pyarrow.csv.write_csv
    write(table, path)
    return path


@pytest.mark.parametrize("flag", ["is_anomaly", "strange"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_scores_are_read_from_both_kinds_of_tables(tmp_path: Path, suffix: str, flag: str) -> None:
    items = read_scores(write_scores(tmp_path / f"scores.{suffix}", flag=flag), 3)
    assert items.mu is not None and items.mu.shape == (400, 3)
    np.testing.assert_allclose(items.score, items.mu.mean(axis=1))
    assert items.files == [f"{number}.png" for number in range(400)]


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with pytest.raises(DataError, match="is no file, must be a scores"):
        read_scores(path, 3)
    with pytest.raises(DataError, match="has 2 columns of mu, but the model has 3"):
        read_scores(write_scores(path, latents=2), 3)
    path.write_text("item,score\na,1\nb,\n")
    with pytest.raises(DataError, match="column 'score' has 1 values that are missing"):
        read_scores(path, 3)
    path.write_text("item,score\na,high\n")
    with pytest.raises(DataError, match="column 'score' holds no numbers"):
        read_scores(path, 3)
    path.write_text("item\na\n")
    with pytest.raises(DataError, match="has no column 'score'"):
        read_scores(path, 3)
    path.write_text("item,score,score\na,1,2\n")
    with pytest.raises(DataError, match=r"column\(s\) score are there more than once"):
        read_scores(path, 3)
    (tmp_path / "scores.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(tmp_path / "scores.parquet", 3)


@pytest.mark.parametrize(
    ("mean", "count", "code", "verdict"),
    [
        (128.0, 400, 0, "stable"),
        (180.0, 400, 3, "drifted"),
        (128.0, 20, 2, "unknown"),
    ],
)
def test_the_command_exits_by_its_verdict(tmp_path: Path, mean: float, count: int, code: int, verdict: str) -> None:
    folder, scores = write_bundle(tmp_path / "model"), write_scores(tmp_path / "scores.csv", mean=mean, count=count)
    scored_by(tmp_path, read_contract(folder / "contract.json").graphs["model"].sha256)
    told = CliRunner().invoke(app, ["drift", str(folder), str(scores)])
    assert told.exit_code == code, told.output
    assert verdict in told.output
    assert ("strongly" in told.output) == (verdict == "drifted")
    machine = CliRunner().invoke(app, ["drift", str(folder), str(scores), "--json", "true"])
    assert machine.exit_code == code
    assert json.loads(machine.stdout)["verdict"] == verdict


def scored_by(folder: Path, sha256: str) -> None:
    """The manifest that `vaeforge score` leaves beside its scores, of a graph of this hash."""
    manifest = ScoreManifest(
        model=ScoringModel("vaeforge-endoscopy version 3", "vaeforge-endoscopy", "3"),
        family="endoscopy",
        graph=ScoringGraph("model", sha256, "fp32"),
        threshold=150.0,
        quantile=0.95,
        input=ScoredInput("images", "pictures", 400),
        options={},
        scores="scores.csv",
        counts=ScoreCounts(400, 400, 0, 0, 0),
        seconds=1.0,
        items_per_second=400.0,
    )
    write_score_manifest(folder, manifest)


def test_scores_of_another_version_are_refused(tmp_path: Path) -> None:
    folder, scores = write_bundle(tmp_path / "model"), write_scores(tmp_path / "scores.csv")
    nobody = CliRunner().invoke(app, ["drift", str(folder), str(scores)])
    assert "no manifest.json beside it says which model scored" in str(nobody.exception)
    scored_by(tmp_path, "0" * 64)
    refused = CliRunner().invoke(app, ["drift", str(folder), str(scores)])
    assert isinstance(refused.exception, DataError)
    assert "was scored with vaeforge-endoscopy version 3, but is to be compared with" in str(refused.exception)
    scored_by(tmp_path, read_contract(folder / "contract.json").graphs["model"].sha256)
    assert CliRunner().invoke(app, ["drift", str(folder), str(scores)]).exit_code == 0
    moved = write_scores(tmp_path / "moved.csv")
    assert "the manifest.json beside it is of scores.csv" in str(
        CliRunner().invoke(app, ["drift", str(folder), str(moved)]).exception
    )


@pytest.mark.parametrize(
    ("item", "file"),
    [
        ("a/b.png", "a/b.png"),
        ("a/b.png/0/16", "a/b.png"),
        ("c.npz/x/3", "c.npz/x"),
        ("17", "17"),
        ("2/b.png", "2/b.png"),
    ],
)
def test_items_of_one_file_are_told_by_their_names(item: str, file: str) -> None:
    assert file_of(item) == file


def test_the_same_inputs_and_those_of_one_file_are_one_group() -> None:
    rows = np.array([[1.0, 2], [3, 4], [1, 2], [5, 6], [7, 8], [1, 2.5]])
    assert groups_of(rows).count == 5
    named = groups_of(rows, ["a", "b", "c", "c", "d", "e"])  # c brings the first item's twin and another one
    assert named.count == 4
    assert named.of[0] == named.of[2] == named.of[3]
    np.testing.assert_allclose(named.weights, np.array([1 / 3, 1, 1 / 3, 1 / 3, 1, 1]) / 4)


def test_one_input_that_is_sent_again_and_again_is_no_sample() -> None:
    score, mu = normal(9)
    found = compare(reference(), np.tile(score, 20), np.tile(mu, (20, 1)))
    assert (found.verdict, found.inputs, found.groups) == ("unknown", 180, 9)
    assert "180 inputs are of 9 pictures or the same ones again" in found.reasons[0]


def test_a_threshold_of_few_samples_promises_little() -> None:
    """Of n = 99 reference samples the 95th smallest is the threshold: the share above it has a beta(5, 95) law."""
    known = np.arange(99.0)
    found = exceedance_p(known, alone(99), 94.0, 0.11, 10_000)
    assert found == pytest.approx(2 * stats.beta.sf(0.11, 5, 95), rel=0.05)
    assert 2 * stats.binom.sf(1099, 10_000, 0.05) < 1e-100  # as if the threshold were known
