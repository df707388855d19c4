"""Loading a version, and remembering its inputs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from serving import graph_of, write_bundle
from vaeforge.errors import RegistryError
from vaeforge.package.bundle import Bundle
from vaeforge.registry.fetch import Fetched
from vaeforge.serve.model import InputWindow, load
from vaeforge.serve.reload import is_registered


def test_a_window_holds_the_last_inputs() -> None:
    window = InputWindow(1, size=5)
    for first in (0, 3, 6):
        values = np.arange(first, first + 3, dtype=np.float32)
        window.add(values, values[:, None] * 2)
    score, mu = window.held()
    assert sorted(score) == [4, 5, 6, 7, 8] and (mu[:, 0] == score * 2).all()
    window.add(np.arange(100, 112), np.zeros((12, 1)))
    assert sorted(window.held()[0]) == [107, 108, 109, 110, 111]
    window.add(np.array([np.inf, 1.0]), np.zeros((2, 1)))
    window.add(np.array([2.0]), np.array([[np.nan]]))
    assert sorted(window.held()[0]) == [1, 108, 109, 110, 111]


def test_an_altered_graph_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path)
    onnx.save(graph_of((3, 16, 16), offset=1.0), folder / "model.onnx")
    with pytest.raises(RegistryError, match="SHA-256 is"):
        load(Fetched(Bundle(folder)), threads=1)


@pytest.mark.parametrize(("key", "value"), [("event_shape", [3, 8]), ("latent_dim", 4), ("condition", ["a"])])
def test_a_graph_that_breaks_its_contract_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    folder = write_bundle(tmp_path)
    content = json.loads((folder / "contract.json").read_text()) | {key: value}
    np.savez(folder / "reference.npz", score=np.zeros(9), mu=np.zeros((9, content["latent_dim"])))
    (folder / "contract.json").write_text(json.dumps(content))
    with pytest.raises(RegistryError, match=r"must be .* by its contract|cannot be run"):
        load(Fetched(Bundle(folder)), threads=1)


def test_a_card_is_told(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path)
    (folder / "card.json").write_text('{"intended": "tests"}')
    assert load(Fetched(Bundle(folder)), threads=1).described["card"] == {"intended": "tests"}


def test_aliases_and_versions_are_watched_and_folders_are_not() -> None:
    assert is_registered("models:/name@champion") and is_registered("models:/name/3")
    assert not any(map(is_registered, ("folder", "folder@champion", "models:/a/b@c")))
