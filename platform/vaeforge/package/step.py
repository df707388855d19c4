"""The export step: a trained model in, ONNX graphs that were compared with torch out, its manifest last."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vaeforge.config.layouts import layout_named
from vaeforge.evaluation.inference import scores
from vaeforge.evaluation.latent_posteriors import library_of
from vaeforge.evaluation.threshold import threshold_of
from vaeforge.manifests.export import ExportManifest, PrecisionOutcome, write_export
from vaeforge.manifests.files import MANIFEST, hashes_of, relative_to
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.package.bundle import MAIN, REFERENCE
from vaeforge.package.card import data_credits
from vaeforge.package.contract import CONTRACT, PictureDifference, write_contract
from vaeforge.package.contract_writer import ExportedGraph, contract_of
from vaeforge.package.denoiser_graph import denoising_graph, schedule_of
from vaeforge.package.export import DATA_SUFFIX, OPSET, data_file, export_graphs
from vaeforge.package.generator_graph import generating_graph
from vaeforge.package.graphs import IMAGE_AXES, Graph, graphs_of
from vaeforge.package.latency import latency_of
from vaeforge.package.parity import PARITY_UNITS, ParityReport, measure_parity, require_parity
from vaeforge.package.parity_file import PARITY, PrecisionParity, precision_parity, write_parity
from vaeforge.package.parity_inputs import subsample_evenly
from vaeforge.package.picture_graph import PICTURE, write_picture_graph
from vaeforge.package.picture_input import framing_of
from vaeforge.package.picture_parity import measure_picture_graph
from vaeforge.package.precision import FULL, TOLERANCES, convert, ordered_precisions
from vaeforge.package.training_samples import measured
from vaeforge.package.validation_reference import GraphAnswers, answers_of, quality_loss, write_reference
from vaeforge.paths import Project, write_json
from vaeforge.progress import part
from vaeforge.trained import PATTERN_SCALE, TrainedModel
from vaeforge_models.vae import VAE

SCHEDULE = "diffusion.json"
GRAPHS = 2  # units of the progress; parity has its own, contract and latency one each
UNITS = GRAPHS + PARITY_UNITS + 2
OWN = ("*.onnx", f"*.onnx{DATA_SUFFIX}", MANIFEST, CONTRACT, REFERENCE, PARITY, SCHEDULE)


def export_run(
    project: Project,
    manifest: TrainedModelManifest,
    trained: TrainedModel,
    folder: Path,
    precisions: Sequence[str] = (FULL,),
) -> ExportManifest:
    """Export a trained model into `folder` and compare it with torch.

    Writes the graphs, parity.json (also when parity fails), reference.npz, contract.json, diffusion.json where there is
    a diffusion model, and manifest.json last. What an earlier export left there is removed first.

    Args:
        project: where the model's files are.
        manifest: of the model.
        trained: the model, with its latent diffusion model if it has one.
        folder: new, empty, or of an earlier export.
        precisions: of fp32, fp16 and int8; fp32 is always there.

    Raises:
        ConfigError: if a precision is unknown.
        RegistryError: if a graph is not valid or does not compute what torch computes; a graph of a smaller precision
            that does not is removed.
    """
    wanted = ordered_precisions(precisions)
    _clear(folder)
    views = _views(trained)
    with part("exporting", UNITS + len(wanted) - 1):
        with part("graphs", span=GRAPHS):
            export = _Export(trained, folder, export_graphs(views, folder, _metadata(manifest, trained.model)))
        report = export.check(views)
        for precision in wanted[1:]:
            with part(precision, span=1):
                export.add(precision, views[MAIN])
        with part("contract", span=1):
            export.add_picture()
            export.describe()
        with part("latency", span=1):
            latency = latency_of(export.files[MAIN], export.validation)
    written = ExportManifest(
        lineage=manifest.lineage,
        event_shape=trained.model.event_shape,
        condition_dim=trained.prepared.spec.condition_dim,
        latent_dim=trained.model.latent_dim,
        opset=OPSET,
        graphs=tuple(sorted(export.graphs)),
        size_bytes=size_of(export.files[MAIN]),
        latency_ms=latency,
        precisions=export.precisions,
        parity=report.outcome,
        data=data_credits(project, trained.prepared, manifest.family),
        folder=relative_to(project, folder),
        files=hashes_of(folder),
    )
    write_export(folder, written)
    return written


def _metadata(manifest: TrainedModelManifest, model: VAE) -> dict[str, str]:
    """What each graph says of itself."""
    return {
        "family": manifest.family,
        "checkpoint": manifest.checkpoint.sha256,
        "data_identity": manifest.lineage.data_identity,
        "latent_dim": str(model.latent_dim),
    }


def _clear(folder: Path) -> None:
    """Remove what an earlier export wrote; the manifest first, as it says that the rest is there."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for pattern in OWN:
        for path in folder.glob(pattern):
            path.unlink()


def _views(trained: TrainedModel) -> dict[str, Graph]:
    """Every graph that the model has, by name."""
    model, condition_dim = trained.model, trained.prepared.spec.condition_dim
    views = graphs_of(model, condition_dim)
    if layout_named(trained.experiment.definition.data).condition_is_class and condition_dim:
        views["generate"] = generating_graph(model, library_of(model, trained.prepared.train), condition_dim)
    if trained.diffusion is not None:
        views["denoiser"] = denoising_graph(trained.diffusion, _pattern_shape(model))
    return views


def _pattern_shape(model: VAE) -> tuple[int, ...]:
    if len(model.event_shape) != IMAGE_AXES:
        return (1, 1, 1)  # not looked at: only models of images have conditional diffusion
    return (1, *(size // PATTERN_SCALE for size in model.event_shape[1:]))


def size_of(path: Path) -> int:
    """Bytes of the graph at `path`, with weights that lie apart."""
    return sum(part.stat().st_size for part in (path, data_file(path)) if part.is_file())


class _Export:
    """One export under way: fp32 first, then smaller precisions one by one, then the contract."""

    def __init__(self, trained: TrainedModel, folder: Path, files: Mapping[str, Path]):
        self.trained, self.folder, self.files = trained, folder, dict(files)
        self.validation = subsample_evenly(trained.prepared.validation)
        self.graphs = {name: ExportedGraph(path) for name, path in files.items()}
        self.precisions: dict[str, PrecisionOutcome] = {}
        self.measured = measured(trained)
        self._difference: PictureDifference | None = None
        self._parities: dict[str, PrecisionParity] = {}

    def check(self, views: Mapping[str, Graph]) -> ParityReport:
        """Compare the fp32 graphs with torch and write what depends on them.

        Raises:
            RegistryError: if they differ by more than the tolerance.
        """
        report = measure_parity(self.trained.model, self.files, self.trained.prepared, views)
        self._report = report
        write_parity(self.folder, report, self._parities)
        require_parity(report, self.files)
        self._answers: GraphAnswers = answers_of(self.trained.model, self.files[MAIN], self.validation)
        write_reference(self.folder / REFERENCE, self._answers, self.measured.scale)
        if self.trained.diffusion is not None:
            write_json(self.folder / SCHEDULE, schedule_of(self.trained.diffusion))
        return report

    def add(self, precision: str, view: Graph) -> None:
        """The main graph in a smaller precision, which stays only if its parity holds.

        Raises:
            RegistryError: if it does not.
        """
        name, model = f"{MAIN}_{precision}", self.trained.model
        path = self.folder / f"{MAIN}.{precision}.onnx"
        convert(self.files[MAIN], path, precision, self.trained.prepared.train, model.event_shape)
        tolerance, data = TOLERANCES[precision], self.trained.prepared
        report = measure_parity(model, {name: path}, data, {name: view}, precision, tolerance, out_of_range=False)
        loss = quality_loss(model, self._answers, answers_of(model, path, self.validation))
        self._parities[precision] = precision_parity(report, loss)
        write_parity(self.folder, self._report, self._parities)
        if not report.passed:
            path.unlink()
        require_parity(report, {name: path})
        self.graphs[name] = ExportedGraph(path, precision)
        self.precisions[precision] = PrecisionOutcome(
            **vars(report.outcome),
            quality=loss,
            size_bytes=size_of(path),
            latency_ms=latency_of(path, self.validation),
        )

    def add_picture(self) -> None:
        """The graph of a whole picture, where the model takes such, and how exactly it frames one.

        Raises:
            RegistryError: if it differs too much from how the training data were framed.
        """
        framing, experiment = framing_of(self.trained), self.trained.experiment
        if framing is None:
            return
        path = self.folder / f"{PICTURE}.onnx"
        write_picture_graph(self.files[MAIN], path, framing)
        layout, condition = layout_named(experiment.definition.data), self.trained.prepared.spec.condition_dim
        prepare = experiment.prepare.model_dump(mode="json")
        self._difference = measure_picture_graph(path, layout, prepare, condition, framing.depth)
        self.graphs[PICTURE] = ExportedGraph(path)

    def describe(self) -> None:
        """Write contract.json."""
        quantile = self.trained.experiment.gates.threshold_quantile
        threshold = threshold_of(scores(self.trained.model, self.trained.prepared.validation), quantile)
        statistics = self.measured.statistics
        contract = contract_of(self.trained, self.graphs, threshold, statistics, self._difference)
        write_contract(self.folder / CONTRACT, contract)
