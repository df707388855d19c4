"""Bundle, a packaged model as used without torch and without our settings: graphs, contract, reference values.

A bundle is a folder as `vaeforge export` leaves it, or as a registered version is downloaded: there all files but the
main graph lie in `extra_files`. Nothing here imports torch or MLflow.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.array_files import DAMAGE
from vaeforge.errors import RegistryError
from vaeforge.package.contract import CONTRACT, REMEDY, GraphFile, read_contract
from vaeforge.paths import sha256_of

if TYPE_CHECKING:
    import onnxruntime

REFERENCE = "reference.npz"
EXTRA = "extra_files"
MAIN = "model"
OUTPUTS = ("reconstruction", "mu", "logvar", "score")  # of the main graph
WINNER, CARD, HASHES = "winner.json", "card.json", "files.json"  # of a registered version
Provider = str | tuple[str, dict[str, str]]
CPU: tuple[Provider, ...] = ("CPUExecutionProvider",)


class Bundle:
    """The model in a folder.

    Raises:
        RegistryError: if the folder holds no contract, or one that cannot be read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.contract = read_contract(self.path(CONTRACT))

    def path(self, name: str) -> Path:
        """Where the file `name` lies.

        Raises:
            RegistryError: if it is not there.
        """
        for path in (self.folder / name, self.folder / EXTRA / name):
            if path.is_file():
                return path
        raise RegistryError(f"{self.folder}: holds no {name}; {REMEDY}")

    def graph(self, name: str = MAIN) -> GraphFile:
        """The entry of the graph called `name`.

        Raises:
            RegistryError: if this model has no such graph, naming those that it has.
        """
        if name not in self.contract.graphs:
            known = ", ".join(sorted(self.contract.graphs))
            raise RegistryError(f"{self.folder}: has no graph {name!r}, must be one of {known}")
        return self.contract.graphs[name]

    def session(
        self, name: str = MAIN, threads: int = 1, providers: tuple[Provider, ...] = CPU
    ) -> "onnxruntime.InferenceSession":
        """A session of the graph called `name`, its file compared with the contract's SHA-256 first.

        Raises:
            RegistryError: if it is missing, altered, or no graph that onnxruntime can run.
        """
        graph = self.graph(name)
        for file, expected in ((graph.file, graph.sha256), *(graph.data or {}).items()):
            found = sha256_of(self.path(file))
            if found != expected:
                raise RegistryError(f"{self.path(file)}: SHA-256 is {found}, must be {expected}; {REMEDY}")
        return open_session(self.path(graph.file), threads, providers)

    @cached_property
    def reference(self) -> dict[str, NDArray[Any]]:
        """`score` [N] and `mu` [N, L] of validation samples: what new inputs are compared with."""
        path = self.path(REFERENCE)
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except DAMAGE as error:
            raise RegistryError(f"{path}: cannot be read ({error}); {REMEDY}") from None


def open_session(path: Path, threads: int = 1, providers: tuple[Provider, ...] = CPU) -> "onnxruntime.InferenceSession":
    """A session of the graph at `path`; with one thread the same inputs always give the same outputs.

    Raises:
        RegistryError: if the file is missing or no graph that onnxruntime can run.
    """
    import onnxruntime  # a sixth of a second, which commands that only read about models do without

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # on cores that others use, too, it stalls
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # its exceptions share no public base class
        raise RegistryError(f"{path}: onnxruntime cannot open it ({error}); {REMEDY}") from error
