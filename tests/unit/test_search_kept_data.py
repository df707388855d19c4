"""What a search trains on stays what it began with, whatever is prepared meanwhile."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from project import SmallProject
from vaeforge.config.experiment import Experiment
from vaeforge.data.prepare import ensure_prepared
from vaeforge.data.prepared import Prepared, load_training, write_prepared_manifest
from vaeforge.errors import DataError
from vaeforge.paths import Project
from vaeforge.search.dispatch.kept_data import kept_data

PrepareAt = Callable[[int], Prepared]


@pytest.fixture
def prepared_at(tmp_path: Path, make_experiment: Callable[..., Experiment]) -> PrepareAt:
    """The project's data, prepared with pictures of a size."""
    SmallProject(tmp_path)

    def prepare(size: int) -> Prepared:
        settings = {"size": size, "margin": 8, "stride": 16, "validation": 0.2, "test": 0.3, "seed": 0}
        return ensure_prepared(Project(tmp_path), make_experiment(prepare=settings))

    return prepare


def test_preparing_other_data_takes_nothing_from_a_search_that_runs(tmp_path: Path, prepared_at: PrepareAt) -> None:
    before, search = prepared_at(32), tmp_path / "artifacts/searches/s"
    search.mkdir(parents=True)
    (search / "data").mkdir()
    (search / "data" / "train.npy").write_text("of a session that was killed")
    wanted = np.array(before.train.stored)
    with kept_data(before, search) as folder:
        assert prepared_at(16).event_shape == (3, 16, 16)
        train, _, spec = load_training(folder)
        assert spec.event_shape == (3, 32, 32)
        np.testing.assert_array_equal(train.stored, wanted)
        shutil.rmtree(before.folder)  # as where many other data are prepared
        np.testing.assert_array_equal(load_training(folder)[0].stored, wanted)
    assert list(search.iterdir()) == []


def test_a_search_does_not_begin_with_data_that_were_replaced(tmp_path: Path, prepared_at: PrepareAt) -> None:
    before, search = prepared_at(32), tmp_path / "artifacts/searches/s"
    write_prepared_manifest(before.folder, replace(before.manifest, data_identity="d" * 64))
    with pytest.raises(DataError, match="other data were prepared meanwhile"), kept_data(before, search):
        pass
    (before.folder / "manifest.json").unlink()
    with pytest.raises(DataError, match="other data are being prepared"), kept_data(before, search):
        pass
    assert not (search / "data").exists()
