"""The export step: a winner's manifest in, ONNX graphs with proven parity out, its manifest last."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaeforge.config.layouts import layout_named
from vaeforge.evaluate.inference import scores
from vaeforge.evaluate.latent_posteriors import library_of
from vaeforge.evaluate.step import MANIFEST, hashes_of, relative_to
from vaeforge.evaluate.tasks.anomaly.detection import threshold_of
from vaeforge.package.bundle import CONTRACT, MAIN, REFERENCE
from vaeforge.package.contract_writer import Exported, contract_of
from vaeforge.package.denoiser_graph import denoising_graph, schedule_of
from vaeforge.package.export import DATA_SUFFIX, OPSET, data_file, export_graphs
from vaeforge.package.generator_graph import generating_graph
from vaeforge.package.graphs import IMAGE_AXES, Graph, graphs_of
from vaeforge.package.latency import latency_of
from vaeforge.package.parity import ParityReport, measure_parity, require_parity
from vaeforge.package.parity_inputs import evenly
from vaeforge.package.precision import FULL, TOLERANCES, convert, ordered_precisions
from vaeforge.package.sources import sources_of
from vaeforge.package.validation_reference import Answers, answers_of, quality_loss, write_reference
from vaeforge.paths import Project, write_json
from vaeforge.trained import PATTERN_SCALE, TrainedModel, lineage, load_trained_model
from vaeforge_models.diffusion import LatentDiffusion
from vaeforge_models.vae import VAE

PARITY, SCHEDULE = "parity.json", "diffusion.json"
OWN = ("*.onnx", f"*.onnx{DATA_SUFFIX}", MANIFEST, CONTRACT, REFERENCE, PARITY, SCHEDULE)


def export_run(
    project: Project,
    winner: Mapping[str, Any],
    folder: Path,
    precisions: Sequence[str] = (FULL,),
    diffused: Path | None = None,
) -> dict[str, Any]:
    """Export the model of `winner` into `folder`, compare it with torch, and return the manifest.

    Writes the graphs, parity.json (also when parity fails), reference.npz, contract.json, diffusion.json where there is
    a diffusion model, and manifest.json last. What an earlier export left there is removed first.

    Args:
        project: where the winner's files are.
        winner: its manifest.
        folder: new, empty, or of an earlier export.
        precisions: of fp32, fp16 and int8; fp32 is always there.
        diffused: the folder of the latent diffusion model that was trained on this winner.

    Raises:
        ConfigError: if a precision is unknown.
        RegistryError: if a graph is not valid or does not compute what torch computes; a graph of a smaller precision
            that does not is removed.
        CheckpointError, DataError: see `load_trained_model`.
    """
    wanted = ordered_precisions(precisions)
    loaded = load_trained_model(project, winner, diffused)
    _clear(folder)
    described = {"family": winner["family"], "checkpoint": winner["checkpoint"]["sha256"]}
    metadata = described | {"data_identity": winner["data_identity"], "latent_dim": str(loaded.model.latent_dim)}
    views = _views(loaded)
    files = export_graphs(views, folder, metadata)
    exporting = _Exporting(loaded, folder, files)
    report = exporting.prove(views)
    for precision in wanted[1:]:
        exporting.add(precision, views[MAIN])
    manifest = {"step": "export", **lineage(winner), **exporting.describe(), **_parity(report)}
    manifest |= {"folder": relative_to(project, folder), "data": sources_of(project, loaded.prepared, winner["family"])}
    manifest |= {"files": hashes_of(folder)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def _clear(folder: Path) -> None:
    """Remove what an earlier export wrote; the manifest first, as it says that the rest is there."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for pattern in OWN:
        for path in folder.glob(pattern):
            path.unlink()


def _views(loaded: TrainedModel) -> dict[str, Graph]:
    """Every graph that the model has, by name."""
    model, condition_dim = loaded.model, loaded.prepared.spec.condition_dim
    views = graphs_of(model, condition_dim)
    if layout_named(loaded.experiment.definition.data).condition_is_class and condition_dim:
        views["generate"] = generating_graph(model, library_of(model, loaded.prepared.train), condition_dim)
    if loaded.diffusion is not None:
        views["denoiser"] = denoising_graph(loaded.diffusion, _pattern_shape(model))
    return views


def _pattern_shape(model: VAE) -> tuple[int, ...]:
    if len(model.event_shape) != IMAGE_AXES:
        return (1, 1, 1)  # not looked at: only models of images have conditional diffusion
    return (1, *(size // PATTERN_SCALE for size in model.event_shape[1:]))


def _parity(report: ParityReport) -> dict[str, Any]:
    return {"parity": {"passed": report.passed, "worst": report.worst.max_rel, "tolerance": report.tolerance}}


class _Exporting:
    """One export under way: fp32 first, smaller precisions one by one, then what the manifest says of them."""

    def __init__(self, loaded: TrainedModel, folder: Path, files: Mapping[str, Path]):
        self.loaded, self.folder, self.files = loaded, folder, dict(files)
        self.validation = evenly(loaded.prepared.validation)
        self.graphs = {name: Exported(path) for name, path in files.items()}
        self.parity: dict[str, Any] = {}
        self.precisions: dict[str, Any] = {}

    def prove(self, views: Mapping[str, Graph]) -> ParityReport:
        """Compare the fp32 graphs and write what hangs on them."""
        report = measure_parity(self.loaded.model, self.files, self.loaded.prepared, views)
        self.parity = report.as_dict() | {"precisions": {}}
        write_json(self.folder / PARITY, self.parity)
        require_parity(report, self.files)
        self.answers: Answers = answers_of(self.loaded.model, self.files[MAIN], self.validation)
        write_reference(self.folder / REFERENCE, self.answers)
        if self.loaded.diffusion is not None:
            self._write_schedule(self.loaded.diffusion)
        return report

    def _write_schedule(self, diffusion: LatentDiffusion) -> None:
        write_json(self.folder / SCHEDULE, schedule_of(diffusion))

    def add(self, precision: str, view: Graph) -> None:
        """The main graph in a smaller precision, which stays only if its parity holds.

        Raises:
            RegistryError: if it does not.
        """
        name, model = f"{MAIN}_{precision}", self.loaded.model
        path = self.folder / f"{MAIN}.{precision}.onnx"
        convert(self.files[MAIN], path, precision, self.loaded.prepared.train, model.event_shape)
        tolerance, data = TOLERANCES[precision], self.loaded.prepared
        report = measure_parity(model, {name: path}, data, {name: view}, precision, tolerance, far=False)
        loss = quality_loss(model, self.answers, answers_of(model, path, self.validation))
        self.parity["precisions"][precision] = report.as_dict() | {"quality": loss}
        write_json(self.folder / PARITY, self.parity)
        if not report.passed:
            path.unlink()
        require_parity(report, {name: path})
        self.graphs[name] = Exported(path, precision)
        self.precisions[precision] = {**_parity(report)["parity"], "quality": loss, **self._measured(path)}

    def describe(self) -> dict[str, Any]:
        """Write contract.json; what the manifest says of shapes, size, latency and precisions."""
        loaded, model = self.loaded, self.loaded.model
        threshold = threshold_of(scores(model, loaded.prepared.validation), loaded.experiment.gates.threshold_quantile)
        write_json(self.folder / CONTRACT, contract_of(loaded, self.graphs, threshold))
        return {
            "event_shape": list(model.event_shape),
            "condition_dim": loaded.prepared.spec.condition_dim,
            "latent_dim": model.latent_dim,
            "opset": OPSET,
            "graphs": sorted(self.graphs),
            **self._measured(self.files[MAIN]),
            "precisions": self.precisions,
        }

    def _measured(self, path: Path) -> dict[str, Any]:
        """`size_bytes` with weights that lie apart, and `latency_ms`."""
        parts = [part for part in (path, data_file(path)) if part.is_file()]
        return {
            "size_bytes": sum(part.stat().st_size for part in parts),
            "latency_ms": latency_of(path, self.validation),
        }
