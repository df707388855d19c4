"""Prepared data of several identities beside one another: none is taken away or changed by preparing others."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

from samples import write_two_classes
from vaeforge.config.experiment import Experiment
from vaeforge.data import prepared_places
from vaeforge.data.prepare import ensure_prepared, prepare
from vaeforge.data.prepared import Prepared, load_prepared
from vaeforge.data.prepared_places import find_prepared
from vaeforge.errors import DataError
from vaeforge.paths import Project

ROOT = Path(__file__).parents[2]
Ask = Callable[[int], Prepared]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write_two_classes(tmp_path, 40)
    return Project(tmp_path)


@pytest.fixture
def ask(project: Project, make_experiment: Callable[..., Experiment]) -> Ask:
    """The project's data, with pictures of a size."""
    return lambda size: ensure_prepared(project, sized(make_experiment, size))


def sized(make_experiment: Callable[..., Experiment], size: int) -> Experiment:
    return make_experiment(prepare={"size": size, "margin": 0, "stride": 8})


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.iterdir() if path.is_file()}


def test_two_searches_with_other_settings_keep_their_data(project: Project, ask: Ask) -> None:
    first, second = ask(16), ask(32)
    before = inodes(first.folder)
    for found, size in ((first, 16), (second, 32)):
        again = load_prepared(found.folder)
        assert again.manifest == found.manifest and again.event_shape == (3, size, size)
        assert find_prepared(project, "endoscopy", found.manifest.data_identity) == found.folder
    assert ask(16).folder == first.folder and inodes(first.folder) == before  # not prepared again


def test_processes_that_prepare_at_once_all_get_what_they_asked_for(ask: Ask) -> None:
    def often(size: int) -> set[tuple[int, ...]]:
        return {ask(size).event_shape for _ in range(8)}

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(often, (16, 32, 16)))
    assert found == [{(3, 16, 16)}, {(3, 32, 32)}, {(3, 16, 16)}]


def test_the_familys_folder_shows_what_was_asked_for_last(project: Project, ask: Ask) -> None:
    shown = project.prepared("endoscopy")
    for size in (16, 32, 16):
        assert inodes(ask(size).folder) == inodes(shown)
        assert load_prepared(shown).event_shape == (3, size, size)


def test_the_outputs_that_dvc_removes_are_there_again(
    project: Project, make_experiment: Callable[..., Experiment]
) -> None:
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["prepare"]
    outputs = [project.root / next(iter(out)).replace("${family}", "endoscopy") for out in stage["outs"]]
    for make in (prepare, ensure_prepared):
        place = make(project, sized(make_experiment, 16)).folder
        assert all(path.is_file() for path in outputs)
        for path in outputs:
            path.unlink()
        assert load_prepared(place).event_shape == (3, 16, 16)


def test_what_an_earlier_build_prepared_is_taken_over(project: Project, ask: Ask) -> None:
    shown, before = project.prepared("endoscopy"), ask(16).manifest
    shutil.rmtree(shown / "identities")  # the family's folder alone holds arrays
    assert find_prepared(project, "endoscopy", before.data_identity) == shown
    own = inodes(shown)
    assert ask(32).event_shape == (3, 32, 32)
    found = ask(16)
    assert inodes(found.folder) == own and found.manifest == before


def test_altered_data_of_an_earlier_build_are_said_and_made_anew_by_prepare(
    project: Project, ask: Ask, make_experiment: Callable[..., Experiment]
) -> None:
    shown = project.prepared("endoscopy")
    ask(16)
    shutil.rmtree(shown / "identities")
    (shown / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json: not valid JSON"):
        ask(16)
    assert prepare(project, sized(make_experiment, 16)).event_shape == ask(16).event_shape


def test_identities_that_nobody_asked_for_lately_are_removed(
    project: Project, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_places, "HELD", 2)
    first, second = ask(16), ask(48)
    os.utime(second.folder, (1, 1))
    held = np.array(second.train.stored)
    third = ask(32)
    assert first.folder.is_dir() and third.folder.is_dir() and not second.folder.exists()
    np.testing.assert_array_equal(second.train.stored, held)  # whoever has them keeps them
    assert find_prepared(project, "endoscopy", second.manifest.data_identity) is None


def test_a_file_system_without_links_has_copies(project: Project, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    found, shown = ask(16), project.prepared("endoscopy")
    assert load_prepared(shown).manifest == found.manifest and set(inodes(shown).values()).isdisjoint(
        inodes(found.folder).values()
    )
    before = inodes(shown)
    ask(16)
    assert inodes(shown) == before  # copies that are whole are not made again


def test_what_a_process_that_was_killed_left_is_removed(project: Project, ask: Ask) -> None:
    place = ask(16).folder
    left = place.with_name(f".{place.name}.new.tmp")
    left.mkdir()
    (left / "train.npy").write_text("half")
    shutil.rmtree(place)
    assert ask(16).event_shape == (3, 16, 16) and not left.exists()
