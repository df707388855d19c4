"""A packaged model as those use it who have neither torch nor our settings: graphs, and what is known about them.

A bundle is a folder as `vaeforge export` leaves it, or as a registered version is downloaded: there all files but the
main graph lie in `extra_files`. Nothing here imports torch or MLflow.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vaeforge.errors import RegistryError
from vaeforge.paths import read_json, sha256_of

CONTRACT = "contract.json"
REFERENCE = "reference.npz"
EXTRA = "extra_files"
MAIN = "model"
OUTPUTS = ("reconstruction", "mu", "logvar", "score")  # of the main graph
WINNER, CARD = "winner.json", "card.json"  # of a registered version
REMEDY = "export or download the model again"
Provider = str | tuple[str, dict[str, str]]
CPU: tuple[Provider, ...] = ("CPUExecutionProvider",)


@dataclass(frozen=True)
class GraphFile:
    """One graph of a bundle: its file, what goes in and comes out by name and shape (None: any size), its precision.

    `data` is the SHA-256 of the file with its weights, by name, where they are too large to lie in the graph.
    """

    file: str
    inputs: dict[str, tuple[int | None, ...]]
    outputs: dict[str, tuple[int | None, ...]]
    precision: str
    sha256: str
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contract:
    """What a model's inputs and outputs mean.

    Attributes:
        family, task: the kind of model, and what it is evaluated by.
        data: the layout of files that it was trained on: pictures, classes, frames, series or points.
        prepare: the settings by which those files became arrays.
        cut: whether samples are patches of larger pictures.
        event_shape: of one sample, raw units.
        condition: what each value of a sample's condition means: class names, or coordinates; empty for none.
        channels: names of a sample's values, where they have names.
        latent_dim: of mu and logvar.
        threshold: score above which a sample is called strange: the `quantile` of the scores of validation samples.
        quantile: see `threshold`.
        graphs: by name; `model` (x to reconstruction, mu, logvar, score) is always among them.
    """

    family: str
    task: str
    data: str
    prepare: dict[str, Any]
    cut: bool
    event_shape: tuple[int, ...]
    condition: tuple[str, ...]
    channels: tuple[str, ...]
    latent_dim: int
    threshold: float
    quantile: float
    graphs: dict[str, GraphFile]


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
    ) -> onnxruntime.InferenceSession:
        """A session of the graph called `name`, its file compared with the contract's SHA-256 first.

        Raises:
            RegistryError: if it is missing, altered, or no graph that onnxruntime can run.
        """
        graph = self.graph(name)
        for file, expected in ((graph.file, graph.sha256), *graph.data.items()):
            found = sha256_of(self.path(file))
            if found != expected:
                raise RegistryError(f"{self.path(file)}: SHA-256 is {found}, must be {expected}; {REMEDY}")
        return open_session(self.path(graph.file), threads, providers)

    @cached_property
    def reference(self) -> dict[str, NDArray[Any]]:
        """`score` [N] and `mu` [N, L] of validation samples: what new inputs are compared with."""
        with np.load(self.path(REFERENCE), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}


def read_contract(path: Path) -> Contract:
    """The contract at `path`.

    Raises:
        DataError, RegistryError: if it cannot be read or is not complete.
    """
    content = read_json(path, REMEDY)
    try:
        graphs = {name: _graph(entry) for name, entry in content["graphs"].items()}
        known: dict[str, Any] = {
            name: content[name] for name in ("family", "task", "data", "prepare", "cut", "latent_dim")
        }
        known |= {name: tuple(content[name]) for name in ("event_shape", "condition", "channels")}
        known |= {name: float(content[name]) for name in ("threshold", "quantile")}
        return Contract(**known, graphs=graphs)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RegistryError(f"{path}: is no contract of a model ({error!r}); {REMEDY}") from error


def _graph(entry: dict[str, Any]) -> GraphFile:
    inputs, outputs = ({name: tuple(shape) for name, shape in entry[side].items()} for side in ("inputs", "outputs"))
    return GraphFile(entry["file"], inputs, outputs, entry["precision"], entry["sha256"], entry.get("data", {}))


def open_session(path: Path, threads: int = 1, providers: tuple[Provider, ...] = CPU) -> onnxruntime.InferenceSession:
    """A session of the graph at `path`; with one thread the same inputs always give the same outputs.

    Raises:
        RegistryError: if the file is missing or no graph that onnxruntime can run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # on cores that others use, too, it stalls
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # its exceptions share no public base class
        raise RegistryError(f"{path}: onnxruntime cannot open it ({error}); {REMEDY}") from error
