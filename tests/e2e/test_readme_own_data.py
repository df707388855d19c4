"""README's section on data of one's own, run as it is written, in the orders that a person would try."""

import json
from pathlib import Path

import pytest

from own_way import NAME, Clone, documented, grey_picture, pictures

SAMPLE_FIRST, OWN_FIRST = "make tune, then import", "import, then make tune"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    pictures(folder)
    return folder


def test_the_section_is_what_this_file_runs() -> None:
    first = [" ".join(line.split()[:2]) for line in documented()]
    assert first == [
        "vaeforge inspect",
        "vaeforge import",
        "vaeforge data",
        "dvc push",
        "make tune",
        "vaeforge models",
        "vaeforge score",
        "vaeforge drift",
        "vaeforge serve",
    ]


def use(clone: Clone, name: str) -> None:
    """The commands after a search: a champion of one's own, a score, a drift report, a served answer, a warning."""
    listed, score, drift, serve = (line.replace(NAME, name) for line in documented()[5:])
    assert f"vaeforge-endoscopy-{name}" in clone.shell(listed)
    said = " ".join(clone.shell(score).split())
    assert f"scored 60 items with vaeforge-endoscopy-{name} version" in said and "warning" not in said
    assert f"which learned from the data set {name}" in said
    judged = clone.shell(f"{drift} --json").splitlines()[-1]
    assert json.loads(judged)["verdict"] == "stable" and json.loads(judged)["warnings"] == []
    answer, other = clone.serve(serve, clone.home / "new/000.png", grey_picture(clone.root / "stripes.png"))
    assert answer["model"] == f"vaeforge-endoscopy-{name}" and "warnings" not in answer
    assert "do not look like the data set" in other["warnings"][0]


@pytest.mark.long
def test_from_own_pictures_to_a_served_answer(home: Path, tmp_path: Path, cluster: dict[str, str]) -> None:
    """The search by the command behind `make tune`, on a cluster that runs already."""
    clone = Clone(tmp_path / "clone", home)
    inspected, imported, listed, pushed = documented()[:4]
    looked, done = clone.shell(inspected), clone.shell(imported)
    for said in (looked, done):
        assert "note: normal: normal (260); anomalous: polyps (30)" in said
        assert f"figures and tables: {clone.root}" in said
    clone.shell(listed)
    clone.shell(pushed)
    clone.shell("dvc pull --quiet data.dvc")  # what `make tune` does first
    assert "version 1 as champion" in clone.shell("vaeforge tune --family endoscopy", **cluster)
    use(clone, NAME)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [None, "ours"])
@pytest.mark.parametrize("order", [OWN_FIRST, SAMPLE_FIRST])
def test_every_order_leads_to_a_champion_of_ones_own(home: Path, tmp_path: Path, order: str, name: str | None) -> None:
    clone = Clone(tmp_path / "clone", home)
    inspected, imported, listed, pushed, tuned = documented()[:5]
    if order == SAMPLE_FIRST:
        clone.shell(tuned)
    clone.shell(inspected)
    clone.shell(imported if name is None else f"{imported} --name {name}")
    assert clone.shell(listed).count("own") == 1
    clone.shell(pushed)
    assert "version 1 as champion" in clone.shell(tuned)
    use(clone, name or NAME)
    if order == SAMPLE_FIRST:
        assert "vaeforge-endoscopy " in clone.shell("vaeforge models list")  # the sample's model is another one


@pytest.mark.long
@pytest.mark.timeout(900)
def test_importing_again_after_a_search_leads_to_a_new_champion_of_the_same_line(home: Path, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", home)
    imported, pushed, tuned = (documented()[place] for place in (1, 3, 4))
    for line in (imported, pushed, tuned):
        clone.shell(line)
    assert "exists already; give another --name, or --replace true" in clone.shell(imported, code=2)
    clone.shell(f"{imported} --replace --size 48")
    clone.shell(pushed)
    said = clone.shell(tuned)
    assert "version 2 as challenger, not promoted: data: identity" in said
    clone.shell(f"vaeforge models promote {NAME} 2 --new-data --why larger")
    use(clone, NAME)
