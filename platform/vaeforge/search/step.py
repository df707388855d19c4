"""Steps `tune` and `train`: from a configuration to a finished search and the manifest of its best model.

A plain training is a search with one trial in a space of one point: the same workers, ledger, tracking and resuming.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich.console import Console

from vaeforge.config.experiment import RunConfig, Search
from vaeforge.errors import ConfigError, NothingWonError, SearchError
from vaeforge.ledger.events import OUTSIDE_CAUSES, SearchResumed, TrialRetried, WarmStarted
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.manifests.files import MANIFEST
from vaeforge.manifests.trained_model import TrainedModelManifest, write_trained_model
from vaeforge.paths import Project, write_json
from vaeforge.remarks import say, tell, warn
from vaeforge.search.early_end import end_search, is_over
from vaeforge.search.engine import SessionOutcome, run_search
from vaeforge.search.plan import Plan, earlier_history, make_plan, search_extent
from vaeforge.search.progress_view import Mode, causes, ranking_within
from vaeforge.search.requests import clear
from vaeforge.search.results.ranking import ranked
from vaeforge.search.results.winner_manifest import winner_manifest
from vaeforge.search.search_lock import SearchLock
from vaeforge.search.space.checks import too_few_for_schedules
from vaeforge.search.space.space import Space
from vaeforge.track.store import open_store
from vaeforge.track.tracker import Tracker

TRACKING_SECONDS = 120.0
Retry = Literal["failed"]


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """What the command line asked of a search beyond its configuration.

    Attributes:
        name: none for the default name.
        tracking_uri: where MLflow's store is; none tracks nothing now, `vaeforge sync` does later.
        project_run_id: the run that `mlflow run` made, if it started this.
        retry: `failed` tries all trials again that failed; none only those that did so for reasons outside them.
        warm_start: the name of a search whose trials inform this one.
        mode: how it is shown.
    """

    step: str
    name: str | None = None
    resume: bool = False
    retry: Retry | None = None
    address: str | None = None
    tracking_uri: str | None = None
    project_run_id: str | None = None
    resume_command: str = "vaeforge tune --resume true"
    warm_start: str | None = None
    mode: Mode = "live"


@dataclass(frozen=True)
class StepResult:
    """How the step ended; `manifest` is none where it was interrupted."""

    exit_code: int
    manifest: TrainedModelManifest | None


def run_step(project: Project, config: RunConfig, space: Space, request: SearchRequest, console: Console) -> StepResult:
    """Search `space`, or finish what an earlier call began; writes the manifest of its best model last.

    Raises:
        VaeforgeError: for anything that is refused before the start, or ends the search.
    """
    if request.tracking_uri is not None and request.tracking_uri.startswith("http"):
        open_store(request.tracking_uri)  # a server that does not answer is refused now, not after hours
    _require_retry(request)
    plan = make_plan(project, config, space, request.name, request.address, console)
    earlier_history(plan, request.name is not None, request.resume)  # refuse before touching the folder
    tell(console, str(plan.prepared.manifest.info.get("framing", "")))
    new = not plan.folder.exists()
    lock = SearchLock(plan.folder)
    try:
        history = earlier_history(plan, request.name is not None, request.resume)
        again = trials_to_retry(history, plan, request)
        if is_complete(history, config.search) and not again:
            say(console, f"search {plan.name!r} is already complete: {plan.folder}")
        else:
            exit_code, history = _search(plan, history, again, lock, request, console)
            if exit_code:
                say(console, f"\ninterrupted; continue with: {_resume(request, plan)}")
                return StepResult(exit_code, None)
        return _conclude(plan, history, request, console)
    finally:
        if new and not plan.ledger.exists():
            lock.discard()  # refused or failed before its first line: no empty search stays
        lock.close()


def is_complete(history: SearchHistory, search: Search) -> bool:
    """Whether nothing is left to do: it ended as it was asked to, and no more is asked now."""
    if history.ended is None or history.ended.asked is None or history.unfinished():
        return False
    before, now = history.ended.asked, search_extent(search)
    no_more = now.trials <= before.trials and now.repeats <= before.repeats
    return before == now or (history.ended.reason == "trials" and no_more)


def _require_retry(request: SearchRequest) -> None:
    """Refuse what was asked of failed trials where it cannot be done."""
    problem = None
    if request.retry not in (None, "failed"):
        problem = "must be failed"
    elif request.retry is not None and not request.resume:
        problem = "without --resume, with which alone trials are tried again; add it"
    if problem is not None:
        raise ConfigError(f"--retry: got {request.retry!r} {problem}")


def trials_to_retry(history: SearchHistory, plan: Plan, request: SearchRequest) -> list[TrialRecord]:
    """Failed trials that are tried again on resuming; none once a budget has ended the search."""
    early = is_complete(history, plan.config.search) and history.ended is not None and history.ended.reason != "trials"
    if not request.resume or early:
        return []
    return history.failed_trials(None if request.retry == "failed" else OUTSIDE_CAUSES)


def warm_start(plan: Plan, earlier: SearchHistory, request: SearchRequest) -> WarmStarted | None:
    """What a new search knows from the one that it is to start from; none where there is no such one.

    Raises:
        SearchError: if that one is of no use here, or comes too late.
    """
    if earlier.header is not None and request.warm_start not in (
        None,
        *(other.source for other in earlier.warm_starts),
    ):
        raise SearchError(
            f"--warm-start: got {request.warm_start!r}, but search {plan.name!r} has begun, and another one informs a "
            "search only at its start; give a new --name"
        )
    if earlier.header is not None or request.warm_start is None:
        return None
    from vaeforge.search.warm_start import warm_start_record  # brings Optuna, which few starts need that early

    return warm_start_record(plan.project, request.warm_start, plan.space, plan.header, plan.config.search.seed)


def open_search(
    plan: Plan,
    earlier: SearchHistory,
    request: SearchRequest,
    known: WarmStarted | None = None,
    again: Sequence[TrialRecord] = (),
) -> int:
    """Write the ledger's next lines: what is searched and is `known` from another search, or that it continues.

    `again` are trials that had failed and are tried again.

    Returns the bytes of a half-written last line that were cut off before.
    """
    ledger = Ledger(plan.ledger)
    try:
        if earlier.header is None:
            plan.keep_patch()
            ledger.append(replace(plan.header, project_run_id=request.project_run_id))
        else:
            ledger.append(SearchResumed(project_run_id=request.project_run_id, trials=plan.config.search.trials))
        for trial in again:
            ledger.append(TrialRetried(trial=trial.number, cause=trial.cause))
        if known is not None:
            ledger.append(known)
        return ledger.repaired_bytes
    finally:
        ledger.close()


def _search(
    plan: Plan,
    history: SearchHistory,
    again: Sequence[TrialRecord],
    lock: SearchLock,
    request: SearchRequest,
    console: Console,
) -> tuple[int, SearchHistory]:
    """Run the search with its tracking beside it; the exit code, and the whole history."""
    over = is_over(plan, history)
    known = warm_start(plan, history, request)
    lock.end_leftovers()
    clear(plan.folder)
    tracker: Tracker | None = None

    def begin() -> SearchHistory:
        nonlocal tracker
        cut_off = open_search(plan, history, request, known, () if over else again)
        if cut_off:
            tell(console, f"{plan.ledger}: its last line was not finished, {cut_off} bytes; it was cut off")
        if again and not over:
            listed = ", ".join(f"{trial.number} ({trial.cause})" for trial in again)
            tell(console, f"trials that had failed are tried again: {listed}")
        tracker = Tracker(plan.ledger, request.tracking_uri, plan.project.root) if request.tracking_uri else None
        earlier = read_history(plan.ledger)
        if request.mode in ("live", "plain"):
            _announce(plan, earlier, console)
        return earlier

    if over:
        begin()
        outcome = SessionOutcome(end_search(plan), 0, {})
    else:
        outcome = run_search(plan, begin, lock, console, request.mode)
        write_json(plan.folder / "timings.json", outcome.timings)
    if tracker is not None and not tracker.finish(TRACKING_SECONDS):
        log = plan.folder / "tracking.log"
        warn(console, f"MLflow does not hold everything yet (see {log}); run `vaeforge sync`")
    return outcome.exit_code, outcome.history


def _announce(plan: Plan, history: SearchHistory, console: Console) -> None:
    for known in history.warm_starts:
        use = "their values inform the sampler" if known.use == "values" else "its best points are tried first"
        told = f"{len(known.trials)} trials of {known.source!r}: {use} ({known.why})"
        say(console, f"{told}; {known.left_out} are of no use here")
    done = len(history.trials) - len(history.unfinished())
    state = f"resumes after {done} trials" if history.trials else "starts"
    say(
        console,
        f"search {plan.name} {state}: {plan.config.search.trials} trials of up to {plan.space.fidelity.max} epochs, "
        f"data {plan.header.data_identity[:12]}",
    )
    tell(console, too_few_for_schedules(plan.space, plan.config.search.trials))


def _conclude(plan: Plan, history: SearchHistory, request: SearchRequest, console: Console) -> StepResult:
    """Show the ranking, write the manifest of the best model."""
    if not ranked(history, plan.space.objective).standings:
        console.print(causes(history))
        told = f"search {plan.name!r}: all {len(history.trials)} trials failed; nothing is registered"
        raise NothingWonError(told, plan.name)
    console.print(ranking_within(console.width, history, plan.space.objective))
    if not plan.space.objective.single:
        from vaeforge.search.results.pareto_plot import write_front  # brings Matplotlib

        for path in write_front(history, plan.space.objective, plan.folder):
            say(console, f"the front: {path}")
    runs = None
    if request.tracking_uri is not None:
        from vaeforge.track.replay import runs_told

        runs = runs_told(plan.folder, request.tracking_uri)
        if runs is None:
            warn(console, f"MLflow holds nothing of this search yet; run `vaeforge sync {plan.name}`")
    manifest = winner_manifest(request.step, plan, history, runs)
    write_trained_model(plan.folder / MANIFEST, manifest)
    write_trained_model(plan.project.step(request.step) / MANIFEST, manifest)
    return StepResult(0, manifest)


def _resume(request: SearchRequest, plan: Plan) -> str:
    named = "" if request.name is not None else f" --name {plan.name}"
    return f"{request.resume_command}{named}"
