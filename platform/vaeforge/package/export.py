"""Export from torch to ONNX files that stand alone: opset 20, any batch size, weights inside, no local paths."""

import copy
import logging
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch

from vaeforge.errors import RegistryError
from vaeforge.package.graphs import Graph, graphs_of
from vaeforge.package.subgraph import cut_out
from vaeforge.paths import write_bytes
from vaeforge.version import __version__
from vaeforge_models.vae import VAE

OPSET = 20
LARGEST = 2**31 - 2**24  # bytes of weights in one protobuf message, which ends at 2 GiB; the rest is for the nodes
DATA_SUFFIX = ".data"
INVALID = (onnx.checker.ValidationError, onnx.shape_inference.InferenceError)


def export(
    model: VAE, folder: Path, metadata: Mapping[str, str] | None = None, condition_dim: int = 0
) -> dict[str, Path]:
    """Write the graphs of `graphs_of`; see `export_graphs`."""
    described = {**(metadata or {}), "latent_dim": str(model.latent_dim)}
    return export_graphs(graphs_of(model, condition_dim), folder, described)


def export_graphs(graphs: Mapping[str, Graph], folder: Path, metadata: Mapping[str, str]) -> dict[str, Path]:
    """Write each graph to `<name>.onnx`; their paths by those names.

    The same weights give the same bytes. `metadata` goes into each file's metadata_props. Weights of more than about
    2 GB lie in `<name>.onnx.data` beside the graph.

    Raises:
        RegistryError: if ONNX's own checker refuses a graph.
        torch.onnx.OnnxExporterError: if the model uses an operator that has no ONNX counterpart.
    """
    files: dict[str, Path] = {}
    wholes = _converted_wholes(graphs)
    for name, graph in graphs.items():
        files[name] = folder / f"{name}.onnx"
        whole = None if graph.part is None else wholes.get(id(graph.part.whole))
        proto = None if whole is None else cut_out(whole, graph)
        proto = _converted(graph) if proto is None else proto
        _describe(proto, name, metadata)
        write_graph(proto, files[name])
    return files


def _converted_wholes(graphs: Mapping[str, Graph]) -> dict[int, onnx.ModelProto]:
    """The larger views of which several graphs are parts, by identity: converted once, and cut up."""
    wholes = {id(graph.part.whole): graph.part.whole for graph in graphs.values() if graph.part is not None}
    parts = Counter(id(graph.part.whole) for graph in graphs.values() if graph.part is not None)
    return {key: _converted(whole) for key, whole in wholes.items() if parts[key] > 1}


def read_graph(path: Path) -> onnx.ModelProto:
    """The graph at `path`.

    Raises:
        RegistryError: if it is missing or not valid ONNX.
    """
    try:
        onnx.checker.check_model(str(path), full_check=True)
        return onnx.load(str(path))
    except (OSError, ValueError, *INVALID) as error:
        raise RegistryError(f"{path}: cannot be read as ONNX ({error}); export the model again") from error


def data_file(path: Path) -> Path:
    """Where the weights of the graph at `path` lie if they are too large for it."""
    return path.with_name(path.name + DATA_SUFFIX)


def write_graph(proto: onnx.ModelProto, path: Path) -> None:
    """Write `proto` to `path` atomically, its weights beside it where they are too large for one file.

    Raises:
        RegistryError: if it is not valid ONNX.
    """
    try:
        if weight_bytes(proto) > LARGEST:
            _write_apart(proto, path)
            return
        data_file(path).unlink(missing_ok=True)
        content = proto.SerializeToString(deterministic=True)
        onnx.checker.check_model(content, full_check=True)
    except INVALID as error:
        raise RegistryError(f"{path}: the exported graph is not valid ONNX ({error})") from error
    write_bytes(path, content)


def weight_bytes(proto: onnx.ModelProto) -> int:
    """What the weights of a graph in memory take."""
    return sum(len(one.raw_data) for one in proto.graph.initializer)


def _write_apart(proto: onnx.ModelProto, path: Path) -> None:
    """Weights first, so that a graph is never there without them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".weights-") as folder:
        staged = Path(folder) / path.name
        apart = onnx.ModelProto()
        apart.CopyFrom(proto)  # saving empties the weights of what is saved
        onnx.save_model(apart, str(staged), save_as_external_data=True, location=data_file(path).name)
        onnx.checker.check_model(str(staged), full_check=True)
        path.unlink(missing_ok=True)
        shutil.move(data_file(staged), data_file(path))
        shutil.move(staged, path)


def _converted(graph: Graph) -> onnx.ModelProto:
    still = copy.deepcopy(graph.module).cpu().eval()
    with _quiet():
        program = torch.onnx.export(
            still,
            tuple(graph.examples.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=tuple({0: "batch"} for _ in graph.inputs),
            verbose=False,
        )
    assert program is not None  # None is for the older exporter
    proto: onnx.ModelProto = program.model_proto
    _strip_traces(proto)
    return proto


def _describe(proto: onnx.ModelProto, name: str, metadata: Mapping[str, str]) -> None:
    proto.graph.name = name
    proto.producer_name, proto.producer_version = "vaeforge", __version__
    proto.doc_string = f"{name} graph of a variational autoencoder; inputs and reconstructions are in raw data units"
    onnx.helper.set_model_props(proto, {**metadata, "torch": torch.__version__})


def _strip_traces(proto: onnx.ModelProto) -> None:
    """Drop what the exporter notes of each node: source lines and paths of this machine, which differ elsewhere."""
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer):
        value.ClearField("metadata_props")
    proto.graph.ClearField("metadata_props")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on torchvision, on torch's own deprecated calls, and on inputs of equal batch."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`", category=FutureWarning)
            warnings.filterwarnings(
                "ignore", message=r"# The axis name: batch .* with another axis: batch", category=UserWarning
            )
            yield
    finally:
        logger.setLevel(level)
