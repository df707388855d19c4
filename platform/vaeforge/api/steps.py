"""Functions of the Python interface: tune, train, evaluate, export, write_report.

They raise `VaeforgeError` for whatever is refused or fails, end no process, and print nothing unless given a console.
Nothing heavy is imported before one of them is called.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

    from vaeforge.api.results import Evaluation, SearchResult
    from vaeforge.paths import Project
    from vaeforge.pipeline import SearchOutcome


def tune(
    project: str | Path = ".",
    *,
    family: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    space: str | Path | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    search: str | None = None,
    scheduler: str | None = None,
    freeze: Mapping[str, Any] | None = None,
    warm_start: str | None = None,
    repeats: int | None = None,
    budget: Mapping[str, float] | None = None,
    deterministic: bool | None = None,
    workers: int | None = None,
    hosts: int | None = None,
    lanes: int | Literal["auto"] | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    seed: int | None = None,
    name: str | None = None,
    resume: bool = False,
    retry: Literal["failed"] | None = None,
    address: str | None = None,
    storage: str | None = None,
    register: bool = False,
    offline: bool = False,
    console: "Console | None" = None,
) -> "SearchResult":
    """Search a space; with `register`, evaluate, export and register the best model. `vaeforge tune`, from Python.

    The data must have been prepared (`vaeforge prepare`).

    Args:
        project: the project's folder, with `params.yaml`, `tune_spaces/` and `artifacts/`.
        family: kind of model; none: the one in `params.yaml`.
        preset: named settings of the family; none: the one in `params.yaml`.
        settings: dotted path to value (`{"training.batch_size": 32}`), over what `params.yaml` says.
        space: the space file; none: `tune_spaces/<family>.yaml`.
        trials: how many configurations to try.
        epochs: of a full training.
        search: the sampler; none: the space's.
        scheduler: the scheduler; none: the space's.
        freeze: path to value of parameters that are not searched.
        warm_start: the name of a search whose trials inform this one.
        repeats: runs of each finalist under different seeds.
        budget: what ends the search earlier: wall_hours, core_hours, gpu_hours, target, stagnation.
        deterministic: one trial at a time, so that resuming changes nothing.
        workers: DDP ranks of a trial.
        hosts: worker groups at once, with a trial or `lanes` of them each; none: as many as there is room for.
        lanes: trials that each host trains at once, as one model; auto: measured; none: auto on a GPU, else 1.
        device: auto takes GPUs where Ray has some.
        seed: of the search.
        name: of the search; none: family and hash of everything that matters.
        resume: continue the search of this name; one that is complete returns at once.
        retry: with `resume`, try all failed trials again; none: only those that failed for reasons outside them.
        address: of a Ray cluster; none: RAY_ADDRESS, else this machine alone.
        storage: folder or URL for checkpoints, where nodes share no folder.
        register: evaluate, export and register the best model.
        offline: track nothing in MLflow now; `vaeforge sync` does it later.
        console: where the search is shown; none prints nothing.

    Raises:
        VaeforgeError: for anything that is refused before the start, or ends the search.
        KeyboardInterrupt: after Ctrl-C; the search can be resumed.
    """
    from vaeforge import pipeline
    from vaeforge.api import requests
    from vaeforge.paths import Project

    place, out = Project(project), _quiet(console)
    overrides = dict(settings or {}) | requests.search_overrides(
        trials=trials,
        workers=workers,
        hosts=hosts,
        lanes=lanes,
        device=device,
        seed=seed,
        repeats=repeats,
        storage=storage,
        budget=dict(budget or {}),
        deterministic=deterministic,
    )
    config = requests.resolve_config(place, family, preset, overrides=overrides)
    request = requests.search_request(
        place,
        "tune",
        name=name,
        resume=resume,
        retry=retry,
        address=address,
        offline=offline,
        warm_start=warm_start,
        resume_command="the same call with resume=True",
        console=out,
        quiet=console is None,
    )
    found = requests.load_space(
        place,
        config,
        path=None if space is None else Path(space),
        epochs=epochs,
        search=search,
        scheduler=scheduler,
        freeze=freeze,
    )
    _spare_cores()
    return _result(place, pipeline.tune(place, config, found, request, register=register, console=out))


def train(
    project: str | Path = ".",
    *,
    family: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    from_trial: str | None = None,
    seeds: int = 1,
    epochs: int | None = None,
    workers: int | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    seed: int | None = None,
    name: str | None = None,
    resume: bool = False,
    retry: Literal["failed"] | None = None,
    address: str | None = None,
    storage: str | None = None,
    offline: bool = False,
    console: "Console | None" = None,
) -> "SearchResult":
    """Train one configuration, that of `params.yaml` or of a search's trial. `vaeforge train`, from Python.

    Args:
        project: the project's folder.
        family: kind of model; none: the one in `params.yaml`.
        preset: named settings of the family; none: the one in `params.yaml`.
        settings: dotted path to value, over what `params.yaml` or the trial says.
        from_trial: `NAME` or `NAME#TRIAL`: a search's best trial, or that one.
        seeds: runs under different seeds; the first one's model is handed on.
        epochs: of the training.
        workers: DDP ranks.
        device: auto takes GPUs where Ray has some.
        seed: of the training.
        name: of the training; none: family and hash of everything that matters.
        resume: continue the training of this name.
        retry: with `resume`, try all failed trials again; none: only those that failed for reasons outside them.
        address: of a Ray cluster; none: RAY_ADDRESS, else this machine alone.
        storage: folder or URL for checkpoints, where nodes share no folder.
        offline: track nothing in MLflow now; `vaeforge sync` does it later.
        console: where the training is shown; none prints nothing.

    Raises:
        VaeforgeError: for anything that is refused before the start, or ends the training.
        KeyboardInterrupt: after Ctrl-C; the training can be resumed.
    """
    from vaeforge import pipeline
    from vaeforge.api import requests
    from vaeforge.paths import Project

    place, out = Project(project), _quiet(console)
    overrides = dict(settings or {}) | requests.search_overrides(
        trials=1, finalists=1, repeats=seeds, workers=workers, device=device, seed=seed, storage=storage
    )
    config = requests.config_from_trial(place, from_trial, family, preset, overrides=overrides)
    request = requests.search_request(
        place,
        "train",
        name=name,
        resume=resume,
        retry=retry,
        address=address,
        offline=offline,
        resume_command="the same call with resume=True",
        console=out,
        quiet=console is None,
    )
    _spare_cores()
    return _result(place, pipeline.train(place, config, epochs, request, out))


def evaluate(run: str = "tune", project: str | Path = ".", *, console: "Console | None" = None) -> "Evaluation":
    """Measure a trained model on its test data, into `artifacts/evaluate`. `vaeforge evaluate`, from Python.

    Args:
        run: the name of a search, or `tune` or `train` for the last one.
        project: the project's folder.
        console: where the comparison is shown; none prints nothing.

    Raises:
        VaeforgeError: if there is no such model, or its data are other ones now.
    """
    from vaeforge import pipeline
    from vaeforge.api.results import Evaluation
    from vaeforge.paths import Project
    from vaeforge.progress_bar import shown

    place = Project(project)
    out = _quiet(console)
    with shown(out):
        found = pipeline.evaluate(place, None, run, out)
    return Evaluation(place.step("evaluate"), dict(found.metrics))


def export(
    run: str = "tune", project: str | Path = ".", *, precisions: Sequence[str] = (), console: "Console | None" = None
) -> Path:
    """Export a trained model to ONNX, compared with torch, into `artifacts/export`. `vaeforge export`, from Python.

    Args:
        run: the name of a search, or `tune` or `train` for the last one.
        project: the project's folder.
        precisions: smaller ones beside fp32: fp16, int8.
        console: where the outcome is shown; none prints nothing.

    Returns:
        the folder, which `load` takes.

    Raises:
        VaeforgeError: if there is no such model, or the exported one does not do what torch does.
    """
    from vaeforge import pipeline
    from vaeforge.paths import Project
    from vaeforge.progress_bar import shown

    place = Project(project)
    out = _quiet(console)
    with shown(out):
        pipeline.export(place, None, run, precisions, out)
    return place.step("export")


def write_report(names: str | Sequence[str], project: str | Path = ".", *, figures: str | Path | None = None) -> Path:
    """Write what a search found, or a comparison of several, as one HTML page. `vaeforge report`, from Python.

    Args:
        names: of a search, or of several searches and versions (`models:/NAME/VERSION`).
        project: the project's folder.
        figures: a folder for the figures as SVG and PNG, with their data as CSV; none: the page alone.

    Returns:
        the page.

    Raises:
        VaeforgeError: if there is no such search, or something that it left cannot be read.
    """
    from vaeforge.paths import Project
    from vaeforge.report.step import make_report

    wanted = [names] if isinstance(names, str) else list(names)
    return make_report(Project(project), wanted, None if figures is None else Path(figures)).page


def _quiet(console: "Console | None") -> "Console":
    from rich.console import Console

    return console or Console(quiet=True)


def _spare_cores() -> None:
    """Let torch's threads in workers wait without spinning, which on shared cores is hundreds of times slower."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _result(project: "Project", outcome: "SearchOutcome") -> "SearchResult":
    """The best model's record.

    Raises:
        KeyboardInterrupt, SearchError: if the search was interrupted.
    """
    from vaeforge.api.results import SearchResult
    from vaeforge.errors import SearchError

    manifest = outcome.manifest
    if manifest is None and outcome.exit_code == INTERRUPTED:
        raise KeyboardInterrupt
    if manifest is None:
        raise SearchError("the search was stopped; call it again with resume=True to continue")
    lineage = manifest.lineage
    assert lineage.search is not None and lineage.trial is not None  # every search says which trial it hands on
    return SearchResult(
        project=project.root,
        name=lineage.search,
        folder=project.search(lineage.search),
        trial=lineage.trial,
        params=dict(manifest.params),
        metrics=dict(manifest.metrics),
        registration=outcome.registration,
    )


INTERRUPTED = 130  # the exit code after SIGINT
