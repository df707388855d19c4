"""The steps in the order in which they follow one another, as the command line calls them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from vaeforge.config.experiment import Experiment, RunConfig, family_named
from vaeforge.config.loader import load
from vaeforge.data.prepare import prepare as prepare_data
from vaeforge.errors import ConfigError, DataError
from vaeforge.generate.request import GenerateRequest
from vaeforge.importing.import_options import ImportOptions
from vaeforge.paths import Project, read_json, write_json
from vaeforge.search.space.space import Space, single_point
from vaeforge.search.step import Request, manifest_of, run_step
from vaeforge.track.store import default_uri, redact
from vaeforge.trained import lineage


def import_data(config: RunConfig, source: str, options: ImportOptions, console: Console) -> None:
    """Make a data set of `source` and say what came of it."""
    from vaeforge.importing.step import run_import

    family = config.experiment.definition
    result = run_import(Path(source), family.name, family.data, Project(), options)
    counts = ", ".join(f"{count} {name}" for name, count in result.counts.items())
    console.print(f"imported {result.folder}: {counts}; {result.quarantined} quarantined", highlight=False)
    for remark in result.remarks:
        console.print(f"[yellow]note[/]: {remark}", highlight=False, soft_wrap=True)
    console.print(f"{result.tracking}; next: vaeforge prepare --family {family.name}", highlight=False, soft_wrap=True)


def prepare(config: RunConfig, console: Console) -> None:
    """Cut the family's data into arrays and say what came out."""
    from vaeforge.data.pca_spectrum import describe, likelihood_of
    from vaeforge.data.prepare import prepared_summary, pull

    project = Project()
    pull(project, config.experiment.family)
    prepared = prepare_data(project, config.experiment)
    summary = prepared_summary(prepared.event_shape, prepared.manifest["counts"])
    console.print(f"{summary}: {prepared.folder}", highlight=False)
    console.print(describe(prepared.manifest["spectrum"], likelihood_of(config.experiment)), highlight=False)


def tune(config: RunConfig, space: Space, request: Request, *, register: bool, console: Console) -> int:
    """Search, then take the winner through evaluation, export and registration; the exit code."""
    project = Project()
    if register and request.tracking_uri is None:
        raise ConfigError("--offline: true goes with --register false: a registry is part of the tracking server")
    result = run_step(project, config, space, request, console)
    if result.manifest is None or not register:
        return result.exit_code
    folder = project.search(result.manifest["search"])
    _take_through(project, result.manifest, folder, console)
    return 0


def train(config: RunConfig, epochs: int | None, request: Request, console: Console) -> int:
    """Train one configuration; the exit code."""
    experiment = config.experiment
    space: Space = single_point(experiment.family, epochs or experiment.training.epochs)
    return run_step(Project(), config, space, request, console).exit_code


def _take_through(project: Project, winner: dict[str, Any], folder: Path, console: Console) -> None:
    """Evaluate, export and register `winner`, with the steps' results under `folder`."""
    diffused = _diffused(project, winner, folder / "diffuse", console)
    _evaluate(project, winner, folder / "evaluate", diffused, console)
    _export(project, winner, folder / "export", diffused, (), console)
    _register(project, winner, folder / "evaluate", folder / "export", console)


def diffuse(family: str | None, run: str | None, console: Console) -> None:
    """Train the latent diffusion model of `run`; for a family without one that is noted."""
    project = Project()
    _diffuse(project, winner_of(project, family, run), project.step("diffuse"), console)


def evaluate(family: str | None, run: str | None, console: Console) -> None:
    """Measure the model of `run` on its test data."""
    project = Project()
    winner = winner_of(project, family, run)
    diffused = _diffused(project, winner, project.step("diffuse"), console)
    _evaluate(project, winner, project.step("evaluate"), diffused, console)


def generate(family: str | None, run: str | None, request: GenerateRequest, console: Console) -> None:
    """Generate images with the model of `run` and say what nearly copies its training images."""
    from vaeforge.generate.step import generate_run

    project = Project()
    folder, winner = project.step("generate"), winner_of(project, family, run)
    manifest = generate_run(
        project,
        winner,
        folder,
        source=request.source,
        label=request.label,
        count=request.count,
        seed=request.seed,
        size=request.size,
        image=request.image,
    )
    for warning in manifest["warnings"]:
        console.print(f"[yellow]warning[/]: {warning}", highlight=False, soft_wrap=True)
    console.print(f"generated: {folder}", highlight=False, soft_wrap=True)


def export(family: str | None, run: str | None, precisions: Sequence[str], console: Console) -> None:
    """Export the model of `run` to ONNX, in smaller precisions too where `precisions` names some."""
    from vaeforge.package.precision import ordered_precisions

    ordered_precisions(precisions)  # a wrong one is refused before anything is trained
    project = Project()
    winner = winner_of(project, family, run)
    diffused = _diffused(project, winner, project.step("diffuse"), console)
    _export(project, winner, project.step("export"), diffused, precisions, console)


def register(family: str | None, run: str | None, console: Console) -> None:
    """Register the model of `run`, exporting it first where that has not been done."""
    project = Project()
    winner = winner_of(project, family, run)
    if not _belongs(project.step("export") / "manifest.json", winner):
        export(family, run, (), console)
    if not _belongs(project.step("evaluate") / "manifest.json", winner):
        evaluate(family, run, console)
    done = _register(project, winner, project.step("evaluate"), project.step("export"), console)
    write_json(project.step("register") / "manifest.json", done)


def sync(name: str, console: Console) -> None:
    """Replay a search's ledger into MLflow."""
    from vaeforge.track.replay import sync as replay

    project = Project()
    if not (project.search(name) / "ledger.jsonl").exists():
        raise DataError(f"{project.search(name)}: there is no search of this name; see artifacts/searches")
    counts = replay(project.search(name), default_uri(project.root))
    console.print(f"synchronised {name}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))


def winner_of(project: Project, family: str | None, run: str | None) -> dict[str, Any]:
    """The manifest of `run`, which must be of `family` where one is given."""
    path = manifest_of(project, run or "tune")
    winner: dict[str, Any] = read_json(path, "run `vaeforge tune` or `vaeforge train` first, or name another --run")
    if family is not None and winner["family"] != family:
        raise ConfigError(f"--family: got {family!r}, but {path} holds a model of family {winner['family']!r}")
    return _judged(project, winner)


def _judged(project: Project, winner: dict[str, Any]) -> dict[str, Any]:
    """`winner` under the gates that the project has now: they judge a model, they did not make it."""
    experiment = Experiment.model_validate(winner["experiment"])
    gates = load(project.root, experiment.family, experiment.preset).experiment.gates
    return {**winner, "experiment": experiment.model_copy(update={"gates": gates}).model_dump(mode="json")}


def _belongs(manifest: Path, winner: dict[str, Any]) -> bool:
    """Whether a later step's manifest was made from this very checkpoint."""
    if not manifest.exists():
        return False
    content = read_json(manifest, "run the step again")
    return bool(content["checkpoint"]["sha256"] == winner["checkpoint"]["sha256"])


def _diffuses(winner: dict[str, Any]) -> bool:
    """Whether the winner's family has a latent diffusion model."""
    return family_named(winner["family"]).diffusion


def _diffused(project: Project, winner: dict[str, Any], folder: Path, console: Console) -> Path | None:
    """The folder of the winner's latent diffusion model, trained now where it is not; none for a family without one."""
    if not _diffuses(winner):
        return None
    if not _belongs(folder / "manifest.json", winner):
        _diffuse(project, winner, folder, console)
    return folder


def _diffuse(project: Project, winner: dict[str, Any], folder: Path, console: Console) -> None:
    from vaeforge.diffuse.step import diffuse_run

    manifest = diffuse_run(project, winner, folder)
    what = "latent diffusion trained" if manifest["trained"] else "this family has no latent diffusion"
    console.print(f"{what}: {folder}", highlight=False, soft_wrap=True)


def _evaluate(project: Project, winner: dict[str, Any], folder: Path, diffused: Path | None, console: Console) -> None:
    from vaeforge.evaluate.comparison import comparison_tables, from_plain, worse_than
    from vaeforge.evaluate.step import evaluate_run

    manifest = evaluate_run(project, winner, folder, diffused)
    rows = [from_plain(row) for row in manifest["comparison"]]
    for table in comparison_tables(rows):
        console.print(table)
    if worse := worse_than(rows):
        console.print(f"On these data simpler methods are better than the model: {worse}", highlight=False)
    console.print(f"evaluated: {folder}", highlight=False, soft_wrap=True)


def _export(
    project: Project,
    winner: dict[str, Any],
    folder: Path,
    diffused: Path | None,
    precisions: Sequence[str],
    console: Console,
) -> None:
    from vaeforge.package.step import export_run

    export_run(project, winner, folder, precisions, diffused)
    console.print(f"exported and compared with torch: {folder}", highlight=False, soft_wrap=True)


def _register(
    project: Project, winner: dict[str, Any], evaluated: Path, exported: Path, console: Console
) -> dict[str, Any]:
    """Register, say what came of it, and return that as a manifest."""
    from vaeforge.registry.register import register_run

    evaluation = read_json(evaluated / "manifest.json", "run `vaeforge evaluate`")
    export_manifest = read_json(exported / "manifest.json", "run `vaeforge export`")
    uri = default_uri(project.root)
    done = register_run(project, winner, export_manifest, evaluation, uri)
    role = "champion" if done.champion else "challenger: " + "; ".join(done.reasons)
    console.print(f"registered [bold]{done.model}[/] version {done.version} ({role})", highlight=False)
    console.print(
        f"open the UI: mlflow ui --backend-store-uri {redact(uri)} --host 127.0.0.1", highlight=False, soft_wrap=True
    )
    return {"step": "register", **lineage(winner), **asdict(done)}
