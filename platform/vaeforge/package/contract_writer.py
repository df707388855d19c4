"""Contract of a trained model, read off its data and its exported graphs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from vaeforge.config.experiment import Experiment
from vaeforge.config.layouts import layout_named
from vaeforge.data.missing import FILL
from vaeforge.data.prepared import MANIFEST, REMEDY, Prepared
from vaeforge.data.source_reading import NOTED, SourceReading
from vaeforge.data.voxels import SourceVoxels
from vaeforge.evaluation.latent_posteriors import class_names
from vaeforge.evaluation.threshold import Threshold
from vaeforge.package.contract import Contract, GraphFile, PictureDifference
from vaeforge.package.export import data_file
from vaeforge.package.input_statistics import InputStatistics
from vaeforge.package.picture_input import picture_input
from vaeforge.paths import sha256_of
from vaeforge.records import record_from
from vaeforge.trained import TrainedModel


@dataclass(frozen=True)
class ExportedGraph:
    """A graph's file and the precision of what is inside."""

    path: Path
    precision: str = "fp32"


def contract_of(
    trained: TrainedModel,
    graphs: Mapping[str, ExportedGraph],
    threshold: Threshold,
    statistics: InputStatistics | None,
    difference: PictureDifference | None,
) -> Contract:
    """The contract of `trained`.

    Args:
        trained: the model.
        graphs: by name.
        threshold: the score above which a sample counts as anomalous.
        statistics: of the training samples.
        difference: of the graph `picture`, where there is one.
    """
    experiment, prepared = trained.experiment, trained.prepared
    return Contract(
        family=experiment.family,
        task=experiment.definition.task,
        data=experiment.definition.data,
        prepare=experiment.prepare.model_dump(mode="json"),
        cut=layout_named(experiment.definition.data).always_cut or bool(prepared.manifest.info.get("cut")),
        event_shape=trained.model.event_shape,
        condition=condition_names(experiment, prepared),
        channels=channel_names(prepared),
        latent_dim=trained.model.latent_dim,
        threshold=threshold.value,
        quantile=threshold.quantile,
        graphs={name: graph_file(graph) for name, graph in graphs.items()},
        threshold_rate=threshold.rate,
        missing=True if FILL in prepared.constants else None,
        plane=prepared.manifest.info.get("plane"),
        source_voxels=source_voxels(prepared),
        source_reading=noted_reading(prepared),
        data_set=None if prepared.manifest.data_set is None else str(prepared.manifest.data_set),
        pictures=picture_input(trained, difference),
        statistics=statistics,
    )


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
    """Names of a sample's values where the data name them: of points with several channels, and of voxels.

    Pixels have none, nor have maps, whose samples are channels.
    """
    voxels = prepared.manifest.info.get("voxel_names")
    if voxels:
        return tuple(map(str, voxels))
    names = tuple(str(name) for name in prepared.manifest.info.get("channels", ()))
    return names if prepared.event_shape == (len(names),) and prepared.spec.condition_dim else ()


def source_voxels(prepared: Prepared) -> SourceVoxels | None:
    """Which voxels of the imported source the data have; none where nothing is noted."""
    found = prepared.manifest.info.get("source_voxels")
    where = str(prepared.folder / MANIFEST)
    return record_from(SourceVoxels, found, where, "note of the source's voxels", REMEDY) if found else None


def noted_reading(prepared: Prepared) -> SourceReading | None:
    """How files like the imported source are read; none where no option said so."""
    found = prepared.manifest.info.get(NOTED)
    where = str(prepared.folder / MANIFEST)
    return record_from(SourceReading, found, where, "note of the source's reading", REMEDY) if found else None


def graph_file(graph: ExportedGraph) -> GraphFile:
    """What the contract says of one graph."""
    proto = onnx.load(str(graph.path), load_external_data=False).graph
    apart = data_file(graph.path)
    return GraphFile(
        file=graph.path.name,
        inputs={value.name: _shape(value) for value in proto.input},
        outputs={value.name: _shape(value) for value in proto.output},
        precision=graph.precision,
        sha256=sha256_of(graph.path),
        data={apart.name: sha256_of(apart)} if apart.is_file() else None,
    )


def _shape(value: Any) -> tuple[int | None, ...]:
    sizes = value.type.tensor_type.shape.dim
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in sizes)
