"""The notebooks run from the first cell to the last on a new project, and are kept with their outputs.

With UPDATE_NOTEBOOKS set, docs/notebooks is written anew with the outputs of this run.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from notebooks import FOLDER, NOTEBOOKS, at_hand, executed, written
from project import SampleProject


def kept(name: str) -> list[dict[str, Any]]:
    """The cells of a notebook with code."""
    content = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def texts(cells: list[dict[str, Any]]) -> str:
    """What cells have printed or shown as text."""
    found = []
    for output in (output for cell in cells for output in cell["outputs"]):
        found += [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
    return "\n".join("".join(text) for text in found)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_kept_with_outputs_and_names_no_folder_of_a_machine(name: str) -> None:
    cells = kept(name)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"])
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    assert "/tmp/" not in texts(cells) and "/home/" not in texts(cells)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_they_run_from_the_first_cell_to_the_last(tmp_path: Path, cluster: dict[str, str]) -> None:
    if not at_hand():
        pytest.skip("nbclient is not installed; `make test-long` brings it into .notebooks")
    project, said = SampleProject(tmp_path, "cilia"), []
    for name in NOTEBOOKS:
        notebook = executed(name, project.root, cluster)
        said.append(texts([cell for cell in notebook.cells if cell.cell_type == "code"]))
        if os.environ.get("UPDATE_NOTEBOOKS"):
            written(notebook, FOLDER / name, project.root)
    assert (
        "best: trial" in said[0] and "report.html" in said[0] and "6/6 trials ended" in said[0]
    )  # the table that changes
    assert "vaeforge-cilia version 1" in said[1]
