"""What a person sees of a version in MLflow's own pages, in a real browser.

With UPDATE_IMAGES set, docs/images/version.png is drawn anew.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from browser import Page, browser, with_chromium
from project import ROOT
from registered import register, server
from traced import repository, searched
from vaeforge.evaluation.manifest import EvaluationManifest, read_evaluation
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project
from vaeforge.track.replay import run_ids, sync
from vaeforge.track.store import open_store

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    with_chromium,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

MODEL, SEARCH = "vaeforge-endoscopy", "endoscopy-12345678"
EPOCHS = 120  # a few seconds, after which the model does something that a description can tell of
TAGS = ("data_identity", "commit", "model_sha256", "search", "verdict")
WIDTH, HEIGHT = 1400, 1040


@dataclass
class Registered:
    """A search that was tracked at a server, and its best model, registered there."""

    address: str
    client: MlflowClient
    model: TrainedModelManifest
    evaluation: EvaluationManifest

    @property
    def run_name(self) -> str:
        return str(self.client.get_run(self.model.lineage.mlflow.run_id).info.run_name)

    @property
    def figures(self) -> list[str]:
        return [Path(name).name for name in self.evaluation.files if name.endswith(".png")]


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    folder = tmp_path_factory.mktemp("page")
    project = Project(repository(folder / "repository"))
    model = searched(project.root, SEARCH, EPOCHS)
    with server(folder) as address:
        sync(project.search(SEARCH), address)
        runs = run_ids(project.search(SEARCH))
        tracked = replace(model.lineage.mlflow, run_id=runs.trials[0], parent_run_id=runs.parent)
        model = replace(model, lineage=replace(model.lineage, mlflow=tracked))
        assert register(project, model, address).champion
        evaluation = read_evaluation(project.step("evaluate") / "manifest.json")
        yield Registered(address, open_store(address), model, evaluation)


@pytest.fixture
def page(registered: Registered) -> Iterator[Page]:
    """The page of the version."""
    with browser(WIDTH, HEIGHT) as page:
        page.open(f"{registered.address}/#/models/{MODEL}/versions/1")
        page.wait_for(
            f"Source Run : {registered.run_name} Source Model : model ", "@ champion", "vaeforge.verdict", "Outputs"
        )
        yield page


def test_the_page_of_a_version_says_what_it_is_and_where_it_comes_from(registered: Registered, page: Page) -> None:
    version = registered.client.get_model_version_by_alias(MODEL, "champion")
    described = [" ".join(part.split()) for part in version.description.split("\n\n")]
    epoch = registered.model.checkpoint.epoch
    assert described[0] == f"endoscopy VAE, trial 0 of the search {SEARCH}, epoch {epoch}."
    shown = page.wait_for("@ challenger", "@ champion", *described)
    assert {f"vaeforge.{name}" for name in TAGS} <= set(version.tags)
    for key, value in version.tags.items():
        assert f"{key} {' '.join(value.split())}" in shown, key
    assert "Inputs (1) Outputs (4)" in shown


def test_the_page_of_its_run_shows_figures_curves_and_data(registered: Registered, page: Page) -> None:
    run = registered.model.lineage.mlflow.run_id
    (link,) = {link for link in page.links() if link.endswith(f"/runs/{run}")}
    page.open(link)
    data = registered.client.get_run(run).inputs.dataset_inputs[0].dataset
    assert data.name == "data/endoscopy"
    page.wait_for(registered.run_name, "val/nelbo", "test/auroc", f"Datasets {data.name} ({data.digest}) Training")
    page.open(f"{link}/artifacts/figures")
    assert {"roc.png", "pr.png", "samples.png", "latents.png"} <= set(registered.figures)
    page.wait_for("figures", *registered.figures)


def test_the_picture_in_the_documentation_can_be_drawn(page: Page, tmp_path: Path) -> None:
    """Only drawn into the repository when asked for: times and hashes are others each time."""
    page.click("button[aria-label=Close]")  # of the assistant, which takes a third of the window
    page.scroll_to("vaeforge.commit")
    path = ROOT / "docs/images/version.png" if os.environ.get("UPDATE_IMAGES") else tmp_path / "version.png"
    page.screenshot(path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG") and int.from_bytes(content[16:20]) == WIDTH
