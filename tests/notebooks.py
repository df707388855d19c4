"""The notebooks of the documentation, run from the first cell to the last as Jupyter would."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

from project import CODE_PATH, ROOT

FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = ("search.ipynb", "champion.ipynb")  # in this order: the second one uses what the first one registers
PACKAGES = ROOT / ".notebooks"  # where `make test-long` puts nbclient and a kernel
CELL_SECONDS = 1500


def at_hand() -> bool:
    """Whether nbclient is installed, or lies where `make` puts it."""
    return PACKAGES.is_dir() or find_spec("nbclient") is not None


@contextmanager
def packages() -> Iterator[None]:
    """nbclient and its kernel can be imported, here and by the kernel."""
    places = [str(PACKAGES)] if PACKAGES.is_dir() else []
    kernels = [f"{PACKAGES}/share/jupyter"] if places else [os.environ.get("JUPYTER_PATH", "")]
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    changed = {
        "PYTHONPATH": os.pathsep.join([CODE_PATH, *given, *places]),
        "JUPYTER_PATH": os.pathsep.join(kernels),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    before = list(sys.path)
    sys.path += places  # what the tests' own environment has comes first
    try:
        with mock.patch.dict(os.environ, changed):
            yield
    finally:
        sys.path[:] = before


def executed(name: str, folder: Path, cluster: Mapping[str, str]) -> Any:
    """The notebook `name` with the outputs that it has in `folder`, its searches on a Ray that runs already.

    Raises:
        nbclient.exceptions.CellExecutionError: with the traceback of the cell that failed.
    """
    with packages(), mock.patch.dict(os.environ, cluster):
        import nbformat
        from nbclient import NotebookClient

        notebook = nbformat.read(FOLDER / name, as_version=4)
        client = NotebookClient(
            notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return notebook


def written(notebook: Any, path: Path, folder: Path) -> None:
    """Keep an executed notebook: without times, and with another name for the project's `folder` on this machine."""
    with packages():
        import nbformat

        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        notebook.metadata.pop("language_info", None)
        path.write_text(nbformat.writes(notebook).replace(str(folder), "~/project") + "\n", encoding="utf-8")
