"""The configuration: who wins, and what is refused with which words."""

from pathlib import Path

import pytest

from vaeforge.config.loader import load
from vaeforge.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "params.yaml").write_text(text)
    return tmp_path


def test_later_layers_win(tmp_path: Path) -> None:
    root = write(tmp_path, "training: {batch_size: 16}\nendoscopy: {training: {batch_size: 32}}\n")
    assert load(tmp_path / "empty", preset="published").experiment.training.batch_size == 64  # the family's default
    assert load(root).experiment.training.batch_size == 32
    assert load(root, assignments=["training.batch_size=8"]).experiment.training.batch_size == 8
    assert load(root, preset="published").experiment.model.model_dump()["width"] == 32


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    root = write(tmp_path, "optimizer: {lr: 1e-3}\n")
    assert load(root).experiment.optimizer.lr == 1e-3
    assert load(root, assignments=["optimizer.lr=2E-4"]).experiment.optimizer.lr == 2e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {latent_dim: 0}", r"params\.yaml: model\.latent_dim: got 0, must be >= 1"),
        ("model: {latent_dim: 2.5}", "got 2.5"),
        ("model: {latent_dim: -3}", "got -3"),
        ("model: {latent_dims: 3}", "model.latent_dims: unknown key; did you mean 'latent_dim'"),
        ("training: {epoch: 3}", "training.epoch: unknown key; did you mean 'epochs'"),
        ("optimizer: {lr: .nan}", "optimizer.lr"),
        ("optimizer: {name: adan}", "'adam' or 'adamw'"),
        ("beta: {schedule: cyclic}", "did you mean 'cyclical'"),
        ("beta: {schedule: linear, cycles: 3}", "beta.cycles: unknown key"),
        (
            "endoscopy: {gates: {margin: 0.01}}",
            r"params\.yaml: gates\.margin: is gone.*gates\.likelihood_margin, 0",
        ),
        ("gates: {draws: 2000}", r"params\.yaml: gates\.draws: is gone.*delete it"),
        ("modle: {}", "unknown section 'modle'.*did you mean 'model'"),
        ("family: endoscpy", "family: got 'endoscpy'.*did you mean 'endoscopy'"),
        ("preset: publishd", "did you mean 'published'"),
        ("search: {workers: 2, gpus_per_worker: 0.5}", "NCCL allows one rank per GPU"),
        ("training: 3", "must be a mapping"),
        ("model: {latent_dim: 3}\nmodel: {latent_dim: 4}", "'model' occurs twice"),
        ("- a", "must hold a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(write(tmp_path, text))


def test_all_problems_are_told_at_once_with_their_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, "model: {latent_dim: 0}"), assignments=["optimizer.lr=-1", "search.trials=0"])
    assert caught.value.problems == [
        "params.yaml: model.latent_dim: got 0, must be >= 1",
        "command line: optimizer.lr: got -1, must be > 0.0",
        "command line: search.trials: got 0, must be >= 1",
    ]


@pytest.mark.parametrize("text", ["latent_dim=3", "model.latent_dim", "=3", "models.latent_dim=3"])
def test_assignments_name_a_section_and_a_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"section\.key"):
        load(tmp_path, assignments=[text])


@pytest.mark.parametrize(
    "url", ["s3://key:hidden@bucket/x", "simplecache::ftp://user:hidden@host/x", "az://c/x?sig=hidden"]
)
def test_a_storage_with_credentials_is_refused_before_anything_repeats_them(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"search\.storage: got a URL with a password or a query") as caught:
        load(tmp_path, "endoscopy", None, {"search.storage": url})
    assert "hidden" not in str(caught.value)
