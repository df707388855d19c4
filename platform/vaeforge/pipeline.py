"""Pipeline steps in order, as the command line and the Python interface call them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from vaeforge.config.experiment import RunConfig, UploadPatch, family_named
from vaeforge.config.loader import load
from vaeforge.data.prepare import prepare as prepare_data
from vaeforge.doctor.report import require_ready
from vaeforge.errors import ConfigError, VaeforgeError
from vaeforge.generate.request import GenerateRequest
from vaeforge.importing.import_options import ImportOptions
from vaeforge.manifests.export import ExportManifest, read_export
from vaeforge.manifests.files import MANIFEST
from vaeforge.manifests.lineage import checkpoint_of
from vaeforge.manifests.trained_model import TrainedModelManifest, manifest_path, read_trained_model
from vaeforge.paths import Project
from vaeforge.provenance import PATCH
from vaeforge.remarks import say, tell, warn
from vaeforge.report.at_end import report_at_end, report_of_failures
from vaeforge.search.space.space import Space, single_point
from vaeforge.search.step import SearchRequest, run_step
from vaeforge.track.store import database_of, default_uri, redact, store_uri

if TYPE_CHECKING:
    from vaeforge.evaluation.manifest import EvaluationManifest
    from vaeforge.registry.register import Registration
    from vaeforge.trained import TrainedModel


@dataclass(frozen=True)
class SearchOutcome:
    """How a search or training ended.

    Attributes:
        exit_code: 0, or 128 and the number of the signal that interrupted it.
        manifest: of its best model; none where it was interrupted.
        registration: the version in the registry; none where nothing was registered.
    """

    exit_code: int
    manifest: TrainedModelManifest | None
    registration: "Registration | None" = None


def import_data(project: Project, config: RunConfig, source: str, options: ImportOptions, console: Console) -> None:
    """Make a data set of `source` and say what came of it."""
    from vaeforge.data.data_sets import note_refused_import
    from vaeforge.importing.step import run_import

    family, prepare = config.experiment.definition, config.experiment.prepare

    try:
        result = run_import(Path(source), family.name, family.data, project, options, prepare, partial(say, console))
    except VaeforgeError as error:
        note_refused_import(project, family.name, source, str(error))
        raise
    say(console, f"imported {result.folder}; {result.quarantined} quarantined")
    tell(console, *result.changes)
    say(console, f"figures and tables: {result.report}")
    say(console, f"{result.tracking}; next: vaeforge prepare --family {family.name}")


def inspect(
    project: Project,
    config: RunConfig,
    source: str,
    options: ImportOptions,
    console: Console,
    *,
    json: bool,
    asked: bool = True,
) -> int:
    """Say what an import of `source` would do; the exit code, 2 where it would ask or refuse.

    Args:
        project: whose folders.
        config: of the family.
        source: what would be imported.
        options: how it is meant.
        console: where to.
        json: as one object.
        asked: whether the user named the family; else all that could read the source are named.
    """
    from vaeforge.importing.inspect import inspect_source

    found = inspect_source(Path(source), config.experiment, project, options, asked=asked)
    if json:
        print(dumps(found.to_json()))
    else:
        for line in found.lines():
            say(console, line)
    return found.exit_code


def prepare(project: Project, config: RunConfig, console: Console) -> None:
    """Cut the family's data into arrays and say what came out."""
    from vaeforge.data.data_sets import own_settings, used_data
    from vaeforge.data.image_statistics import statistics_summary
    from vaeforge.data.pca_spectrum import describe, likelihood_of
    from vaeforge.data.prepare import bits_remark, prepared_summary, pull

    family = config.experiment.family
    tell(console, pull(project, family), used_data(project, family).remark())
    manifest = (prepared := prepare_data(project, config.experiment)).manifest
    told = prepared_summary(prepared.event_shape, manifest.counts, manifest.data_set, prepared.train.fine)
    say(console, f"{told}: {project.prepared(family)}")
    if (statistics := statistics_summary(project.prepared(family))) is not None:
        say(console, statistics)
    tell(console, own_size(config, own_settings(project, family)), str(manifest.info.get("framing", "")))
    tell(console, bits_remark(manifest))
    if manifest.spectrum is not None:
        say(console, describe(manifest.spectrum, likelihood_of(config.experiment)))


def own_size(config: RunConfig, own: Mapping[str, Any]) -> str:
    """That settings are those that the data set was imported with; empty where they are not."""
    used = config.experiment.prepare.model_dump()
    if not own or any(used.get(name) != value for name, value in own.items()):
        return ""
    told = " and ".join(f"{name} {own[name]}" for name in used if name in own)
    return f"{told} are those that the data set was imported with (`--size`); `--set prepare.size=N` takes another one"


def tune(
    project: Project, config: RunConfig, space: Space, request: SearchRequest, *, register: bool, console: Console
) -> SearchOutcome:
    """Search, then take the best model through evaluation, export and registration where it is to be registered."""
    if register and request.tracking_uri is None:
        raise ConfigError("--offline: true goes with --register false: a registry is part of the tracking server")
    require_ready(project, request.address, console)
    with report_of_failures(project, request.tracking_uri, console):
        result = run_step(project, config, space, request, console)
    if result.manifest is None:
        return SearchOutcome(result.exit_code, None)
    try:
        done = _take_through(project, result.manifest, config.search.upload_patch, console) if register else None
    finally:
        report_at_end(project, str(result.manifest.lineage.search), request.tracking_uri, console)
    return SearchOutcome(0, result.manifest, done)


def train(
    project: Project, config: RunConfig, epochs: int | None, request: SearchRequest, console: Console
) -> SearchOutcome:
    """Train one configuration."""
    space: Space = single_point(config.experiment.family, epochs or config.experiment.training.epochs)
    require_ready(project, request.address, console)
    with report_of_failures(project, request.tracking_uri, console):
        result = run_step(project, config, space, request, console)
    if (found := result.manifest) is not None:
        report_at_end(project, str(found.lineage.search), request.tracking_uri, console)
    return SearchOutcome(result.exit_code, found)


def _take_through(
    project: Project, manifest: TrainedModelManifest, upload_patch: UploadPatch, console: Console
) -> "Registration":
    """Evaluate, export and register a model, with the steps' results in the folder of its search."""
    folder = project.search(str(manifest.lineage.search))
    trained = _load(project, manifest, folder / "diffuse", console)
    evaluation = _evaluate(project, manifest, trained, folder / "evaluate", console)
    export = _export(project, manifest, trained, folder / "export", (), console)
    return _register(project, manifest, evaluation, export, upload_patch, console)


def diffuse(project: Project, family: str | None, run: str | None, console: Console) -> None:
    """Train the latent diffusion model of `run`; for a family without one that is noted."""
    from vaeforge.trained import load_trained_model

    manifest = model_of(project, family, run)
    _diffuse(project, manifest, load_trained_model(project, manifest), project.step("diffuse"), console)


def evaluate(project: Project, family: str | None, run: str | None, console: Console) -> "EvaluationManifest":
    """Measure the model of `run` on its test data."""
    manifest = model_of(project, family, run)
    trained = _load(project, manifest, project.step("diffuse"), console)
    return _evaluate(project, manifest, trained, project.step("evaluate"), console)


def generate(project: Project, family: str | None, run: str | None, request: GenerateRequest, console: Console) -> None:
    """Generate images with the model of `run` and say what nearly copies its training images."""
    from vaeforge.generate.step import generate_run

    folder, manifest = project.step("generate"), model_of(project, family, run)
    for warning in generate_run(project, manifest, request, folder).warnings:
        warn(console, warning)
    say(console, f"generated: {folder}")


def export(project: Project, family: str | None, run: str | None, precisions: Sequence[str], console: Console) -> None:
    """Export the model of `run` to ONNX, in smaller precisions too where `precisions` names some."""
    from vaeforge.package.precision import ordered_precisions

    ordered_precisions(precisions)  # a wrong one is refused before anything is trained
    manifest = model_of(project, family, run)
    trained = _load(project, manifest, project.step("diffuse"), console)
    _export(project, manifest, trained, project.step("export"), precisions, console)


def register(project: Project, family: str | None, run: str | None, console: Console) -> None:
    """Register the model of `run`, exporting and evaluating it first where that has not been done."""
    from vaeforge.evaluation.manifest import read_evaluation
    from vaeforge.registry.register import write_registration

    manifest = model_of(project, family, run)
    exported, evaluated = project.step("export"), project.step("evaluate")
    lacks_export = not _is_export_of(exported, manifest)
    lacks_evaluation = not _is_evaluation_of(evaluated, manifest)
    if lacks_export or lacks_evaluation:
        trained = _load(project, manifest, project.step("diffuse"), console)
        if lacks_export:
            _export(project, manifest, trained, exported, _precisions_of(exported), console)
        if lacks_evaluation:
            _evaluate(project, manifest, trained, evaluated, console)
    evaluation, export = read_evaluation(evaluated / MANIFEST), read_export(exported / MANIFEST)
    upload = load(project.root, manifest.family, manifest.experiment.preset).search.upload_patch
    done = _register(project, manifest, evaluation, export, upload, console)
    write_registration(project.step("register"), manifest, done)


def sync(project: Project, name: str, console: Console) -> None:
    """Replay a search's ledger into MLflow, and put its report beside it.

    Raises:
        SearchError: if there is no search of this name.
    """
    from vaeforge.search.requests import folder_of
    from vaeforge.track.replay import sync as replay
    from vaeforge.track.report_artifact import attach_report

    folder, uri = folder_of(project, name), default_uri(project.root)
    counts = replay(folder, uri)
    attach_report(folder, uri)
    say(console, f"synchronised {name}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))


def relocate(project: Project, old: Path | None, console: Console) -> None:
    """Let the project's MLflow database name the artifacts that lie here, after the project was moved or copied.

    Args:
        project: as it lies now.
        old: the folder where it was; none: the one that the database names.
        console: where to say what was changed.

    Raises:
        TrackingError: if the store is no database of this machine, or it cannot be changed.
    """
    from vaeforge.track.relocation import moved_from
    from vaeforge.track.relocation import relocate as change

    database = database_of(store_uri(project.root))
    was = old.resolve() if old is not None else moved_from(database, project.root)
    if was is None:
        say(
            console, f"nothing to relocate: {database} names no artifacts elsewhere, or --from must say where they were"
        )
        return
    done = change(database, project.root, was)
    say(console, f"relocated {done.addresses} addresses of artifacts in {database} from {was} to {project.root}")
    if done.missing:
        more = f" and {len(done.missing) - 1} more" if len(done.missing) > 1 else ""
        warn(console, f"{done.missing[0]}{more}: not here, but still in {was}; copy its folder mlruns, too")


def model_of(project: Project, family: str | None, run: str | None) -> TrainedModelManifest:
    """The manifest of `run`, which must be of `family` where one is given, under the gates that the project has now."""
    path = manifest_path(project, run or "tune")
    manifest = read_trained_model(path)
    if family is not None and manifest.family != family:
        raise ConfigError(f"--family: got {family!r}, but {path} holds a model of family {manifest.family!r}")
    gates = load(project.root, manifest.family, manifest.experiment.preset).experiment.gates
    return manifest.judged_by(gates)


def _belongs(folder: Path, manifest: TrainedModelManifest) -> bool:
    """Whether what a later step left in `folder` was made from this very checkpoint."""
    path = folder / MANIFEST
    return path.exists() and checkpoint_of(path, "run the step again").sha256 == manifest.checkpoint.sha256


def _is_export_of(folder: Path, manifest: TrainedModelManifest) -> bool:
    """Whether the export in `folder` is of this checkpoint, with the threshold that the gates name now."""
    from vaeforge.package.contract import CONTRACT, read_contract

    if not _belongs(folder, manifest):
        return False
    contract = read_contract(folder / CONTRACT)
    return contract.threshold_rate is not None and contract.quantile == manifest.experiment.gates.threshold_quantile


def _is_evaluation_of(folder: Path, manifest: TrainedModelManifest) -> bool:
    """Whether the evaluation in `folder` is of this checkpoint, with the threshold that the gates name now."""
    from vaeforge.evaluation.manifest import read_evaluation
    from vaeforge.evaluation.tasks import task_named
    from vaeforge.evaluation.threshold import QUANTILE_METRIC

    if not _belongs(folder, manifest):
        return False
    detects = task_named(manifest.experiment.definition.task).detects_anomalies
    found = read_evaluation(folder / MANIFEST).metrics.get(QUANTILE_METRIC)
    return not detects or found == manifest.experiment.gates.threshold_quantile


def _precisions_of(folder: Path) -> tuple[str, ...]:
    """The smaller precisions of the export in `folder`, which one in its place has as well; none if there is none."""
    path = folder / MANIFEST
    return tuple(read_export(path).precisions) if path.exists() else ()


def _load(project: Project, manifest: TrainedModelManifest, folder: Path, console: Console) -> "TrainedModel":
    """The model, with the latent diffusion model in `folder` if its family has one, which is trained now if need be."""
    from vaeforge.trained import load_trained_model, with_diffusion

    trained = load_trained_model(project, manifest)
    if not family_named(manifest.family).diffusion:
        return trained
    if not _belongs(folder, manifest):
        _diffuse(project, manifest, trained, folder, console)
    return with_diffusion(trained, manifest, folder)


def _diffuse(
    project: Project, manifest: TrainedModelManifest, trained: "TrainedModel", folder: Path, console: Console
) -> None:
    from vaeforge.diffuse.step import diffuse_run

    done = diffuse_run(project, manifest, trained, folder)
    what = "latent diffusion trained" if done.trained else "this family has no latent diffusion"
    say(console, f"{what}: {folder}")


def _evaluate(
    project: Project, manifest: TrainedModelManifest, trained: "TrainedModel", folder: Path, console: Console
) -> "EvaluationManifest":
    from vaeforge.evaluation.comparison import comparison_tables, worse_than
    from vaeforge.evaluation.only_normal import only_normal_in
    from vaeforge.evaluation.step import evaluate_run
    from vaeforge.evaluation.threshold import shortage_in

    evaluation = evaluate_run(project, manifest, trained, folder)
    for table in comparison_tables(evaluation.comparison):
        console.print(table)
    if worse := worse_than(evaluation.comparison):
        say(console, f"On these data simpler methods are better than the model: {worse}")
    if missing := only_normal_in(evaluation.metrics):
        tell(console, missing)
    if short := shortage_in(evaluation.metrics):
        warn(console, short)
    say(console, f"evaluated: {folder}")
    return evaluation


def _export(
    project: Project,
    manifest: TrainedModelManifest,
    trained: "TrainedModel",
    folder: Path,
    precisions: Sequence[str],
    console: Console,
) -> ExportManifest:
    from vaeforge.package.step import export_run

    export = export_run(project, manifest, trained, folder, precisions)
    say(console, f"exported and compared with torch: {folder}")
    return export


def _register(
    project: Project,
    manifest: TrainedModelManifest,
    evaluation: "EvaluationManifest",
    export: ExportManifest,
    upload_patch: UploadPatch,
    console: Console,
) -> "Registration":
    """Register and say what came of it."""
    from vaeforge.registry.register import patch_withheld, register_run
    from vaeforge.registry.rejudge import DATA_RULE, new_data_hint
    from vaeforge.track.replay import with_runs

    uri = default_uri(project.root)
    if reason := patch_withheld(project, manifest.lineage, upload_patch):
        tell(console, f"{PATCH} is not uploaded: {reason}")
    told = with_runs(project, manifest, uri)
    done = register_run(project, told, export, evaluation, uri, upload_patch)
    role = "champion" if done.champion else "challenger, not promoted: " + "; ".join(done.reasons)
    say(console, f"registered {done.model} version {done.version} as {role}")
    if any(reason.startswith(f"{DATA_RULE}:") for reason in done.reasons) and not done.champion:
        say(console, new_data_hint(done.model, done.version))
    command = f"mlflow ui --backend-store-uri {redact(uri)} --host 127.0.0.1"
    say(console, f"open the UI: MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {command}")
    return done
