"""References to models without a version, and to versions that are not there: what there is instead is named."""

import json
from pathlib import Path

import pytest

from project import command_line
from vaeforge.errors import RegistryError
from vaeforge.registry.fetch import full_reference, resolve
from vaeforge.registry.tags import SAMPLE_SHAPE, TEST_AUROC
from vaeforge.track.store import open_store

MODEL = "vaeforge-endoscopy"


@pytest.mark.slow
def test_what_there_is_is_named_where_a_reference_leads_nowhere(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = open_store(uri)
    assert full_reference("endoscopy", uri) == "endoscopy"  # nothing is registered: a folder was meant
    client.create_registered_model(MODEL)
    with pytest.raises(RegistryError, match="got version '1', must be one of none yet"):
        resolve(client, f"models:/{MODEL}/1")
    client.create_model_version(MODEL, str(tmp_path))
    with pytest.raises(RegistryError, match="'champion', must be one of: none yet, `vaeforge models promote`"):
        resolve(client, f"models:/{MODEL}@champion")
    for alias in ("champion", "challenger"):
        client.set_registered_model_alias(MODEL, alias, "1")
    assert str(resolve(client, f"models:/{MODEL}@champion").version) == "1"
    assert str(resolve(client, f"models:/{MODEL}/1").version) == "1"
    with pytest.raises(RegistryError, match="must be one of: challenger, champion; did you mean 'champion'"):
        resolve(client, f"models:/{MODEL}@champoin")
    with pytest.raises(RegistryError, match="got version '2', must be one of 1"):
        resolve(client, f"models:/{MODEL}/2")
    with pytest.raises(RegistryError, match=f"got 'vaeforge-endo', must be one of: {MODEL}; did you mean"):
        resolve(client, "models:/vaeforge-endo@champion")
    for name in ("endoscopy", MODEL):  # as in `vaeforge models show`
        assert full_reference(name, uri) == f"models:/{MODEL}@champion"
    with pytest.raises(RegistryError, match=f"got 'endoscpy', must be one of: {MODEL}"):
        full_reference("endoscpy", uri)
    for path in (str(tmp_path), "artifacts/export", f"models:/{MODEL}/1"):
        assert full_reference(path, uri) == path
    client.delete_registered_model_alias(MODEL, "champion")
    with pytest.raises(RegistryError, match="has no champion; name a version: models:/vaeforge-endoscopy/VERSION"):
        full_reference("endoscopy", uri)


@pytest.mark.slow
def test_a_model_is_shown_without_a_version_by_its_champion_or_by_its_list(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("family: endoscopy\n")
    client = open_store(f"sqlite:///{tmp_path}/mlflow.db")
    client.create_registered_model(MODEL)
    shapes = {"1": "3x96x96", "2": "3x32x32"}
    for shape in shapes.values():
        tags = {SAMPLE_SHAPE: shape, TEST_AUROC: "0.9125"}
        client.create_model_version(MODEL, str(tmp_path), tags=tags, description=f"of {shape}")
    listed = command_line(tmp_path, "models", "show", "endoscopy", COLUMNS="200").stdout
    assert f"{MODEL} has no champion; `vaeforge models show endoscopy VERSION` shows one of these" in listed
    assert all(shape in listed for shape in shapes.values()) and "0.9125" in listed and "AUROC" in listed
    rows = [json.loads(line) for line in command_line(tmp_path, "models", "show", MODEL, "--json").stdout.splitlines()]
    assert [(row["version"], row["sample"], row["test_auroc"]) for row in rows] == [
        (version, shape, 0.9125) for version, shape in shapes.items()
    ]
    client.set_registered_model_alias(MODEL, "champion", "2")
    shown = command_line(tmp_path, "models", "show", "endoscopy").stdout
    assert f"{MODEL} version 2" in shown and "of 3x32x32" in shown
