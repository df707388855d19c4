"""JSON output of a search, `--json`: one object a line on standard output, nothing else there.

Each has `event` and `time` (unix seconds). Values are nats per sample; null stands for a number that is not there.

| event | keys |
|---|---|
| `start` | `search`, `trials` (how many at most), `epochs` (of a full training), `goals` (`metric`, `mode` of each) |
| `trial` | `trial` (that has ended), `state` (completed, early_stopped, stopped, failed), `value`, `epoch`, `cause` |
| | `params` (path to value), `repeat_of` (a number, or null), `lanes` (most trials at once as one model, 1: it alone) |
| `best` | another trial leads: `trial`, `value` (`val/nelbo` of its selected epoch) |
| `warning` | `text` |
| `waits` | `text` (of `vaeforge watch` alone): what the search waits for, told where it is something else than before |
| `end` | `search`, `reason`, `seconds`, `trials` (state to how many), `best` (a standing, or null) |
| | `front` (several goals: standings, the chosen one first), `problem` (why no trial won, or null) |
| | `told` (or null): what the best trial is worth, `value` and `sd` over `runs`, and whether these are `optimistic`, |
| | that is the runs that it was chosen by |

A standing, in `best` and `front`: `trial`, `value` (mean over `runs`), `sd` (null with one run), `runs` (numbers),
`failed` (repeats that failed or were stopped), `metrics`, `chosen`, `diverged` (its best epoch counts, a later one was
not finite), `collapsed` (no latent dimension is active), `params`. Keys are added, never renamed or removed.
"""

import json
import time
from dataclasses import asdict
from typing import Any

from vaeforge.ledger.history import SearchHistory
from vaeforge.records import to_json
from vaeforge.search.dispatch.snapshot import BestSoFar, TrialStatus
from vaeforge.search.results.ranking import RankedTrial, ranked
from vaeforge.search.results.winner_value import winner_value
from vaeforge.search.space.objective import Objective

TRIAL_KEYS = ("trial", "state", "value", "epoch", "cause", "params", "repeat_of", "lanes")
Line = dict[str, Any]


def line(event: str, **fields: Any) -> str:
    """One event as text, without its line break."""
    return json.dumps({"event": event, "time": time.time(), **fields}, allow_nan=False, ensure_ascii=False)


def start(search: str, trials: int, epochs: int, objective: Objective) -> str:
    """A search starts or continues."""
    goals = [{"metric": goal.metric, "mode": goal.mode} for goal in objective.goals]
    return line("start", search=search, trials=trials, epochs=epochs, goals=goals)


def trial(status: TrialStatus) -> str:
    """A trial has ended."""
    content = asdict(status)
    return line("trial", **{key: content[key] for key in TRIAL_KEYS})


def best(found: BestSoFar) -> str:
    """Another trial leads, or the leading one has a better value."""
    return line("best", trial=found.trial, value=found.value)


def warning(text: str) -> str:
    """What a person should know."""
    return line("warning", text=text)


def waits(text: str) -> str:
    """What the search waits for."""
    return line("waits", text=text)


def end(history: SearchHistory, objective: Objective, reason: str, seconds: float) -> str:
    """The session is over; `seconds` it took."""
    found, told = ranked(history, objective), winner_value(history, objective)
    on_front = [standing_line(standing) for standing in found.standings if standing.on_front]
    return line(
        "end",
        search=history.header.name if history.header else None,
        reason=reason,
        seconds=seconds,
        trials=history.counts(),
        best=next((standing_line(standing) for standing in found.standings if standing.chosen), None),
        told=None if told is None else to_json(told),
        front=on_front,
        problem=found.problem,
    )


def standing_line(standing: RankedTrial) -> Line:
    """A trial among the others, for `end` and for listings."""
    return {
        "trial": standing.trial.number,
        "value": standing.value,
        "sd": standing.sd,
        "runs": list(standing.runs),
        "failed": list(standing.failed),
        "metrics": dict(standing.metrics),
        "chosen": standing.chosen,
        "diverged": standing.trial.diverged,
        "collapsed": standing.trial.collapsed,
        "params": standing.trial.params,
    }
