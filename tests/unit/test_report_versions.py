"""Comparison of registered versions with each other and with a search."""

import pytest

from registered import IDENTITY, register, untrained_model
from reported import header, made_trial, registered_groups, written_search
from stores import new_database
from vaeforge.errors import ConfigError, RegistryError
from vaeforge.paths import Project
from vaeforge.report.sides import beta_of, read_sides
from vaeforge.report.step import make_report


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one model in two versions, and a search of the same data."""
    root = tmp_path_factory.mktemp("versions")
    project, model = untrained_model("speckle", root)
    store = new_database(root, "mlflow.db")
    register(project, model, store)
    register(project, model, store)
    lines = [header("mine", data_identity=IDENTITY), *registered_groups()]
    lines += made_trial(0, {"beta.schedule": "constant", "beta.value": 0.1, "model.latent_dim": 4}, -50.0)
    written_search(root, "mine", lines)
    return project


@pytest.mark.slow
def test_versions_stand_beside_each_other_and_beside_a_search(project: Project) -> None:
    names = ["models:/vaeforge-speckle/1", "models:/vaeforge-speckle/2"]
    done = make_report(project, names, project.root / "print")
    assert done.page.name == "vaeforge-speckle-1-and-vaeforge-speckle-2.html"
    text = done.page.read_text(encoding="utf-8")
    assert "All of these models were of the same data" in text and "Lineage of vaeforge-speckle 2" in text
    table = (project.root / "print" / "test-metrics.csv").read_text(encoding="utf-8").splitlines()
    one, other = read_sides(project, names)
    assert table[0] == "metric,vaeforge-speckle 1,vaeforge-speckle 2"
    cells = {line.split(",")[0]: line.split(",")[1:] for line in table[1:]}
    assert cells and all(float(cells[key][0]) == one.metrics[key] for key in cells)
    assert all(float(cells[key][1]) == other.metrics[key] for key in cells)
    mixed = make_report(project, ["mine", names[0]]).page.read_text(encoding="utf-8")
    assert "The best so far" in mixed and "no evaluated model of mine" in mixed


@pytest.mark.slow
def test_what_cannot_be_compared_is_refused(project: Project) -> None:
    with pytest.raises(ConfigError, match="must be compared with another version or a search"):
        make_report(project, ["models:/vaeforge-speckle/1"])
    with pytest.raises(RegistryError, match="got version '7', must be one of 1, 2"):
        make_report(project, ["models:/vaeforge-speckle/7", "mine"])
    with pytest.raises(ConfigError, match="two are the same version"):
        make_report(project, ["models:/vaeforge-speckle/1", "models:/vaeforge-speckle/01", "mine"])


def test_full_beta_of_a_version_is_the_given_weight() -> None:
    assert beta_of({"beta": {"schedule": "cyclical", "max": 2}}) == ("cyclical", 2.0)
    assert beta_of({"beta": {"schedule": "step", "knots": [[0, 0.1], [0.5, 3.0]]}}) == ("step", 3.0)
    assert beta_of({"beta": {"schedule": "capacity", "gamma": 5.0}}) == ("capacity", None)
