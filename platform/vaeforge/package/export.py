"""From torch to ONNX files that stand alone: opset 20, any batch size, weights inside, no path of this machine."""

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor

import vaeforge
from vaeforge.errors import RegistryError
from vaeforge.package.graphs import Graph, graphs_of
from vaeforge.paths import write_bytes
from vaeforge_models.vae import VAE

OPSET = 20
EXAMPLE_BATCH = 2


def export(
    model: VAE, folder: Path, metadata: Mapping[str, str] | None = None, condition_dim: int = 0
) -> dict[str, Path]:
    """Write model.onnx, encoder.onnx, decoder.onnx and reconstruct_eps.onnx; their paths by those names.

    The same weights give the same bytes. `metadata` goes into each file's metadata_props.

    Raises:
        RegistryError: if ONNX's own checker refuses a graph.
        torch.onnx.OnnxExporterError: if the model uses an operator that has no ONNX counterpart.
    """
    still = copy.deepcopy(model).cpu().eval()
    files: dict[str, Path] = {}
    for name, graph in graphs_of(still, condition_dim).items():
        files[name] = folder / f"{name}.onnx"
        _write(_converted(still, name, graph, metadata or {}, condition_dim), files[name])
    return files


def read_graph(path: Path) -> onnx.ModelProto:
    """The graph at `path`.

    Raises:
        RegistryError: if it is missing or not valid ONNX.
    """
    try:
        onnx.checker.check_model(str(path), full_check=True)
        return onnx.load(str(path))
    except (OSError, ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise RegistryError(f"{path}: cannot be read as ONNX ({error}); export the model again") from error


def _converted(model: VAE, name: str, graph: Graph, metadata: Mapping[str, str], condition_dim: int) -> onnx.ModelProto:
    examples = _examples(model, condition_dim)
    with _quiet():
        program = torch.onnx.export(
            graph.module.eval(),
            tuple(examples[key] for key in graph.inputs),
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
    proto.graph.name = name
    proto.producer_name, proto.producer_version = "vaeforge", vaeforge.__version__
    proto.doc_string = f"{name} graph of a variational autoencoder; inputs and reconstructions are in raw data units"
    onnx.helper.set_model_props(proto, {**metadata, "torch": torch.__version__, "latent_dim": str(model.latent_dim)})
    return proto


def _examples(model: VAE, condition_dim: int) -> dict[str, Tensor]:
    """Inputs of the right shapes to trace with; their values do not matter."""
    latent = torch.zeros(EXAMPLE_BATCH, model.latent_dim)
    return {
        "x": torch.zeros(EXAMPLE_BATCH, *model.event_shape),
        "z": latent,
        "eps": latent.clone(),
        "condition": torch.zeros(EXAMPLE_BATCH, condition_dim),
    }


def _strip_traces(proto: onnx.ModelProto) -> None:
    """Drop what the exporter notes of each node: source lines and paths of this machine, which differ elsewhere."""
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer):
        value.ClearField("metadata_props")
    proto.graph.ClearField("metadata_props")


def _write(proto: onnx.ModelProto, path: Path) -> None:
    content = proto.SerializeToString(deterministic=True)
    try:
        onnx.checker.check_model(content, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise RegistryError(f"{path}: the exported graph is not valid ONNX ({error})") from error
    write_bytes(path, content)


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
