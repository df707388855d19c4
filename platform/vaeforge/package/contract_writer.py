"""What goes into contract.json: what a packaged model's inputs and outputs mean, read off its data and graphs.

`bundle` reads it. Shapes hold null for a dimension of any size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from vaeforge.config.experiment import Experiment
from vaeforge.config.layouts import layout_named
from vaeforge.data.prepared import Prepared
from vaeforge.evaluate.latent_posteriors import class_names
from vaeforge.package.export import data_file
from vaeforge.paths import sha256_of
from vaeforge.trained import TrainedModel


@dataclass(frozen=True)
class Exported:
    """A graph's file and the precision of what is inside."""

    path: Path
    precision: str = "fp32"


def contract_of(loaded: TrainedModel, graphs: Mapping[str, Exported], threshold: float) -> dict[str, Any]:
    """The content of contract.json; `threshold` is the score above which a sample is called strange."""
    experiment, prepared = loaded.experiment, loaded.prepared
    layout = layout_named(experiment.definition.data)
    return {
        "family": experiment.family,
        "task": experiment.definition.task,
        "data": experiment.definition.data,
        "prepare": experiment.prepare.model_dump(mode="json"),
        "cut": layout.always_cut or bool(prepared.manifest.get("info", {}).get("cut")),
        "event_shape": list(loaded.model.event_shape),
        "condition": list(condition_names(experiment, prepared)),
        "channels": list(channel_names(prepared)),
        "latent_dim": loaded.model.latent_dim,
        "threshold": threshold,
        "quantile": experiment.gates.threshold_quantile,
        "graphs": {name: graph_entry(graph) for name, graph in graphs.items()},
    }


def condition_names(experiment: Experiment, prepared: Prepared) -> tuple[str, ...]:
    """Names of the classes, axes of coordinates, or numbers where nothing is known of a condition; none for none."""
    size = prepared.spec.condition_dim
    if not size:
        return ()
    layout = layout_named(experiment.definition.data)
    if layout.condition_is_class:
        return class_names(prepared)
    if size == len(layout.condition_names):
        return layout.condition_names
    return tuple(f"condition_{number}" for number in range(size))


def channel_names(prepared: Prepared) -> tuple[str, ...]:
    """Names of a sample's values where the data name them: of points with several channels, not of pixels or maps."""
    names = tuple(str(name) for name in prepared.manifest.get("info", {}).get("channels", ()))
    return names if prepared.event_shape == (len(names),) and prepared.spec.condition_dim else ()


def graph_entry(graph: Exported) -> dict[str, Any]:
    """File, inputs, outputs, precision and SHA-256; `data` lists the file with its weights where that is another."""
    proto = onnx.load(str(graph.path), load_external_data=False).graph
    apart = data_file(graph.path)
    weights = {apart.name: sha256_of(apart)} if apart.is_file() else {}
    return {
        "file": graph.path.name,
        "inputs": {value.name: _shape(value) for value in proto.input},
        "outputs": {value.name: _shape(value) for value in proto.output},
        "precision": graph.precision,
        "sha256": sha256_of(graph.path),
        **({"data": weights} if weights else {}),
    }


def _shape(value: Any) -> list[int | None]:
    return [size.dim_value if size.HasField("dim_value") else None for size in value.type.tensor_type.shape.dim]
