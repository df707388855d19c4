"""The steps `tune` and `train`: from a configuration to a finished search and its winner's manifest.

A plain training is a search with one trial in a space of one point: the same hosts, ledger, tracking and resuming.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vaeforge.config import Settled
from vaeforge.errors import SearchError
from vaeforge.paths import Project, write_json
from vaeforge.search.engine import open_search, run_search
from vaeforge.search.history import History, read_history
from vaeforge.search.plan import Plan, earlier_history, make_plan
from vaeforge.search.session import Session
from vaeforge.search.space import Space
from vaeforge.search.tracker import Tracker
from vaeforge.search.view import causes, ranking
from vaeforge.search.winner import winner_manifest
from vaeforge.track.store import open_store

TRACKING_SECONDS = 120.0


@dataclass(frozen=True)
class Request:
    """What the command line asked of a search beyond its configuration.

    Attributes:
        name: none for the default name.
        tracking_uri: where MLflow's store is; none tracks nothing now, `vaeforge sync` does later.
        project_run_id: the run that `mlflow run` made, if it started this.
    """

    step: str
    name: str | None = None
    resume: bool = False
    address: str | None = None
    tracking_uri: str | None = None
    project_run_id: str | None = None
    resume_command: str = "vaeforge tune --resume true"


@dataclass(frozen=True)
class Result:
    """How the step ended; `manifest` is none where it was interrupted."""

    exit_code: int
    manifest: dict[str, Any] | None


def run_step(project: Project, settled: Settled, space: Space, request: Request, console: Console) -> Result:
    """Search `space`, or finish what an earlier call began; writes the winner's manifest last.

    Raises:
        VaeforgeError: for anything that is refused before the start, or ends the search.
    """
    if request.tracking_uri is not None and request.tracking_uri.startswith("http"):
        open_store(request.tracking_uri)  # a server that does not answer is refused now, not after hours
    plan = make_plan(project, settled, space, request.name, request.address, console)
    earlier_history(plan, request.name is not None, request.resume)  # refuse before touching the folder
    session = Session(plan.folder)
    try:
        history = earlier_history(plan, request.name is not None, request.resume)
        if is_complete(history, settled.search.trials):
            console.print(f"search {plan.name!r} is already complete: {plan.folder}", highlight=False)
        else:
            exit_code, history = _search(plan, history, session, request, console)
            if exit_code:
                console.print(
                    f"\ninterrupted; continue with: [bold]{_resume(request, plan)}[/]", highlight=False, soft_wrap=True
                )
                return Result(exit_code, None)
        return _conclude(plan, history, request, console)
    finally:
        session.close()


def is_complete(history: History, trials: int) -> bool:
    """Whether nothing is left to do for a search of `trials` trials."""
    return history.ended is not None and not history.unfinished() and len(history.trials) >= trials


def _search(plan: Plan, history: History, session: Session, request: Request, console: Console) -> tuple[int, History]:
    """Run the search with its tracking beside it; the exit code, and the whole history."""
    session.end_leftovers()
    open_search(plan, history, request.project_run_id)
    earlier = read_history(plan.ledger)
    tracker = Tracker(plan.ledger, request.tracking_uri, plan.project.root) if request.tracking_uri else None
    _announce(plan, earlier, console)
    outcome = run_search(plan, earlier, session, console)
    write_json(plan.folder / "timings.json", outcome.timings)
    if tracker is not None and not tracker.finish(TRACKING_SECONDS):
        log = plan.folder / "tracking.log"
        console.print(f"[yellow]warning[/]: MLflow does not hold everything yet (see {log}); run `vaeforge sync`")
    return outcome.exit_code, outcome.history


def _announce(plan: Plan, history: History, console: Console) -> None:
    done = len(history.trials) - len(history.unfinished())
    state = f"resumes after {done} trials" if history.trials else "starts"
    console.print(
        f"search [bold]{plan.name}[/] {state}: {plan.settled.search.trials} trials of up to {plan.space.fidelity.max} "
        f"epochs, data {plan.header['data_identity'][:12]}",
        highlight=False,
    )


def _conclude(plan: Plan, history: History, request: Request, console: Console) -> Result:
    """Show the ranking, write the winner's manifest."""
    if not history.ranked():
        console.print(causes(history))
        raise SearchError(f"search {plan.name!r}: all {len(history.trials)} trials failed; nothing is registered")
    console.print(ranking(history))
    runs: dict[str, Any] = {}
    if request.tracking_uri is not None:
        from vaeforge.track.replay import run_ids

        runs = dict(run_ids(plan.folder))
    manifest = winner_manifest(request.step, plan, history, runs)
    write_json(plan.folder / "manifest.json", manifest)
    write_json(plan.project.step(request.step) / "manifest.json", manifest)
    return Result(0, manifest)


def _resume(request: Request, plan: Plan) -> str:
    named = "" if request.name is not None else f" --name {plan.name}"
    return f"{request.resume_command}{named}"


def manifest_of(project: Project, run: str) -> Path:
    """Where the manifest of `run` lies: `tune` or `train` for the newest of that step, a search's name, or a path."""
    if run in ("tune", "train"):
        return project.step(run) / "manifest.json"
    named = project.search(run) / "manifest.json"
    return named if named.exists() or not Path(run).exists() else Path(run)
