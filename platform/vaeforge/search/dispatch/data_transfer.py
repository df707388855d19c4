"""Transfer to the nodes of a cluster of what they may not have: code, prepared data, the folder of a search.

Code travels as Ray packages. Data are read from their folder where a node sees it and it is the same data; else they
come through Ray's object store, which holds them once per node, and whose arrays workers map instead of copying.
"""

import importlib.util
import site
import socket
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vaeforge.errors import DataError, SearchError
from vaeforge.paths import sha256_of, write_bytes
from vaeforge.plugins import WORKER_GROUPS

if TYPE_CHECKING:  # a probe on a node needs no torch
    from vaeforge.data.prepared import Prepared
    from vaeforge.training.loop import TrainingData

PACKAGES = ("vaeforge", "vaeforge_models")
PROBE_SECONDS = 30.0


def code_packages() -> list[str]:
    """Paths for `runtime_env={"py_modules": ...}`: this code, and what other packages add that is not in site-packages.

    These come with their metadata, because an entry point is how they are found. What it imports beyond its own
    top-level package must be installed on every node, as torch must.

    Raises:
        SearchError: if the module that an entry point names is not there.
    """
    paths = [path for name in PACKAGES for path in _places(name)]
    for distribution in distributions():
        points = [point for point in distribution.entry_points if point.group in WORKER_GROUPS]
        modules = {point.module.partition(".")[0] for point in points}
        own = [path for name in sorted(modules) for path in _places(name) if not _installed(path)]
        if own:
            paths += [*own, *_metadata(distribution)]
    return [str(path) for path in dict.fromkeys(paths)]


def _places(name: str) -> list[Path]:
    """The folder or file of a top-level module; several folders for a namespace package."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise SearchError(f"family: its entry point names the module {name!r}, which is not there; install it again")
    if spec.submodule_search_locations is not None:
        return [Path(folder).resolve() for folder in spec.submodule_search_locations]
    return [Path(str(spec.origin)).resolve()]


def _installed(path: Path) -> bool:
    folders = [*site.getsitepackages(), site.getusersitepackages()]
    return any(path.is_relative_to(Path(folder).resolve()) for folder in folders)


def _metadata(distribution: Distribution) -> Iterator[Path]:
    """The folder `NAME-VERSION.dist-info` (or `.egg-info`) of a distribution."""
    for folder in Path(str(distribution.locate_file(""))).resolve().glob("*-info"):
        if folder.is_dir() and Distribution.at(folder).metadata["Name"] == distribution.metadata["Name"]:
            yield folder


@dataclass(frozen=True)
class DataHandle:
    """Where training data are: small enough to be sent to every worker.

    Attributes:
        folder: of the prepared data, as the driver sees it.
        manifest: SHA-256 of its manifest, which holds those of all arrays.
        stored: the same arrays in the object store; none where every node is taken to see the folder.
    """

    folder: str
    manifest: str
    stored: "ray.ObjectRef[dict[str, Any]] | None"


def publish_data(prepared: "Prepared", folder: Path, cluster: bool = True) -> DataHandle:
    """Make the training data reachable for all worker groups, also those on nodes that join later.

    Args:
        prepared: verified data.
        folder: where its training part is kept while the search runs, see `kept_data.py`.
        cluster: whether there are, or may come to be, nodes beside this one. Only then the data may go into the object
            store, and they do unless there are several nodes and all see the folder.
    """
    from vaeforge.data.prepared import PARTS

    place, manifest = str(folder.resolve()), sha256_of(folder / "manifest.json")
    others = _other_nodes() if cluster else {}
    if not cluster or (others and not _problems(others, _unlike, place, manifest)):
        return DataHandle(place, manifest, None)
    parts = {part: getattr(prepared, part) for part in PARTS[:2]}
    # plain arrays: Ray lets workers map these, but not memory maps
    content = {part: (np.asarray(samples.stored), np.asarray(samples.condition)) for part, samples in parts.items()}
    return DataHandle(place, manifest, ray.put({**content, "constants": prepared.constants}))


def open_data(handle: DataHandle) -> "TrainingData":
    """The training data, on whichever node this is; nothing is copied.

    Raises:
        DataError: if they are neither in their folder as it was nor in the object store.
    """
    from vaeforge.data.prepared import load_training, spec_of
    from vaeforge.samples import Samples
    from vaeforge.training.loop import TrainingData

    problem = _unlike(handle.folder, handle.manifest)
    if problem is None:
        return TrainingData(*load_training(Path(handle.folder)))
    if handle.stored is None:
        raise DataError(f"{handle.folder}: {problem} on {socket.gethostname()}; start the search again")
    content = ray.get(handle.stored)
    train, validation = (Samples(*content[part]) for part in ("train", "validation"))
    return TrainingData(train, validation, spec_of(validation, content["constants"]))


def unseen_nodes(folder: Path) -> list[str]:
    """The nodes of the cluster that cannot read and write what this one writes into `folder`, each with the reason.

    Raises:
        OSError: if this node cannot write there.
    """
    token = uuid.uuid4().hex
    probe = folder / f".probe-{token}"
    write_bytes(probe, token.encode())
    try:
        return _problems(_other_nodes(), _unshared, str(probe), token)
    finally:
        for file in folder.glob(f"{probe.name}*"):
            file.unlink(missing_ok=True)


def _unlike(folder: str, manifest: str) -> str | None:
    """What is wrong with the prepared data in `folder`, seen from here; none if their manifest is the one meant."""
    try:
        found = sha256_of(Path(folder) / "manifest.json")
    except OSError as error:
        return f"the prepared data cannot be read ({error.strerror})"
    return None if found == manifest else "the prepared data are others"


def _unshared(probe: str, token: str) -> str | None:
    """What is wrong with the folder of the file `probe`, seen from here; none if it is shared."""
    path = Path(probe)
    try:
        found = path.read_text(encoding="utf-8")
        write_bytes(path.with_name(f"{path.name}.{uuid.uuid4().hex}"), token.encode())
    except FileNotFoundError:
        return f"{path.parent} is not there, or another folder"
    except OSError as error:
        return f"{path.parent} cannot be read and written ({error.strerror})"
    return None if found == token else f"{path.parent} is another folder"


def _other_nodes() -> dict[str, str]:
    """The living nodes of the cluster but this one: what to call them, by id."""
    here = ray.get_runtime_context().get_node_id()
    alive = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    return {number: f"{address} ({number[:8]})" for number, address in alive.items() if number != here}


def _problems(nodes: dict[str, str], probe: Callable[..., str | None], *arguments: str) -> list[str]:
    """What `probe(*arguments)` says on each of `nodes`, where it says something or cannot be run."""
    task = ray.remote(num_cpus=0, max_retries=0)(probe)
    asked = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(number, soft=False)).remote(*arguments): name
        for number, name in nodes.items()
    }
    ready, silent = ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_SECONDS) if asked else ([], [])
    found = {asked[answer]: _answer(answer) for answer in ready}
    for answer in silent:
        ray.cancel(answer, force=True)
        found[asked[answer]] = f"no answer within {PROBE_SECONDS:.0f} s"
    there = set(_other_nodes().values()) if any(found.values()) else set()  # one that has gone meanwhile has no problem
    return [f"{name}: {problem}" for name, problem in sorted(found.items()) if problem is not None and name in there]


def _answer(answer: Any) -> str | None:
    try:
        problem: str | None = ray.get(answer)
    except ray.exceptions.RayError as error:
        return f"cannot run a task ({str(error).splitlines()[0]})"
    return problem
