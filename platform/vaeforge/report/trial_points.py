"""Trials as figures see them: one record each, with the numbers that all schedules have.

Full beta is the one number that tells how strongly any schedule weighs the rate in the end: the weight that was given
(`beta.value`; `beta.max` of cyclical ones; the largest knot of a step function), and the one that was measured at the
kept epoch where a controller finds it in training (capacity, geco, pi).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaeforge.ledger.events import FINAL_OUTCOMES, Params
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.results.ranking import Ranking
from vaeforge.search.results.reports import why

FOUND_IN_TRAINING = ("capacity", "geco", "pi")


@dataclass(frozen=True)
class EpochPoint:
    """One epoch: its metrics, the value of the trial until then, and what was decided after it."""

    epoch: int
    metrics: Mapping[str, float | None]
    value: float | None
    decision: str = ""
    needed: float | None = None


@dataclass(frozen=True)
class TrialPoint:
    """One trial.

    Attributes:
        rank: from 1 on, among those that can win; none for all others.
        state: running, completed, early_stopped, stopped or failed.
        schedule: of beta; `latent_size` and `full_beta` are none where they are not known.
        value: `val/nelbo` of the trial, nats per sample.
        metrics: of the epoch whose checkpoint was kept.
        mean, sd: of the value over its repeats, where there are some.
        started: seconds since the search began; `seconds`: in training.
        lanes: most trials that were trained as one model in one of its epochs, itself counted.
        chosen: whether it is the winner; `on_front`: whether it is on the Pareto front of several goals.
    """

    number: int
    rank: int | None
    state: str
    why: str
    schedule: str
    latent_size: int | None
    full_beta: float | None
    value: float | None
    mean: float | None
    sd: float | None
    metrics: Mapping[str, float | None]
    params: Params
    epochs: tuple[EpochPoint, ...]
    started: float
    finished: float | None
    seconds: float
    attempts: int
    repeat_of: int | None
    chosen: bool
    on_front: bool
    collapsed: bool
    runs: tuple[int, ...] = ()
    lanes: int = 1

    @property
    def done(self) -> bool:
        """Whether it was trained fully."""
        return self.state in FINAL_OUTCOMES

    def metric(self, name: str) -> float | None:
        """`val/NAME` at the kept epoch."""
        return self.metrics.get(f"val/{name}")

    def told(self) -> str:
        """Number, schedule, beta, size and value in one line."""
        parts = [f"trial {self.number}", self.schedule]
        parts += [f"β {self.full_beta:.4g}"] if self.full_beta is not None else []
        parts += [f"latent size {self.latent_size}"] if self.latent_size is not None else []
        parts += [f"val/nelbo {self.value:.2f}"] if self.value is not None else []
        return ", ".join([*parts, self.state.replace("_", " ")])


def trial_points(history: SearchHistory, ranking: Ranking) -> tuple[TrialPoint, ...]:
    """Every trial of a search, by number."""
    assert history.header is not None
    settings: Mapping[str, Any] = history.header.settings.get("experiment", {})
    places = {one.trial.number: (place, one) for place, one in enumerate(ranking.standings, 1)}
    found = []
    for number, record in sorted(history.trials.items()):
        place, standing = places.get(number, (None, None))
        schedule = str(record.params.get("beta.schedule", settings.get("beta", {}).get("schedule", "constant")))
        size = record.params.get("model.latent_dim", settings.get("model", {}).get("latent_dim"))
        found.append(
            TrialPoint(
                number=number,
                rank=place,
                state=record.state or "running",
                why=why(record),
                schedule=schedule,
                latent_size=size if isinstance(size, int) else None,
                full_beta=full_beta(schedule, record, settings.get("beta", {})),
                value=record.value,
                mean=standing.value if standing and len(standing.runs) > 1 else None,
                sd=standing.sd if standing else None,
                metrics=record.best_metrics,
                params=record.params,
                epochs=_epochs(record),
                started=record.started - history.header.time,
                finished=None if record.finished is None else record.finished - history.header.time,
                seconds=record.seconds,
                attempts=record.attempts,
                repeat_of=record.repeat_of,
                chosen=standing is not None and standing.chosen,
                on_front=standing is not None and standing.on_front,
                collapsed=record.collapsed,
                runs=standing.runs if standing else (),
                lanes=record.lanes,
            )
        )
    return tuple(found)


def full_beta(schedule: str, record: TrialRecord, base: Mapping[str, Any]) -> float | None:
    """See the module's docstring; `base` is the section `beta` of the settings that trials vary."""
    given = dict(base) if base.get("schedule") == schedule else {}
    given |= {path.removeprefix("beta."): value for path, value in record.params.items() if path.startswith("beta.")}
    measured = record.best_metrics.get("beta")
    if schedule in FOUND_IN_TRAINING:
        return measured
    if "knots" in given:
        return max((float(weight) for _, weight in given["knots"]), default=measured)
    weight = given.get("value", given.get("max"))
    return float(weight) if isinstance(weight, int | float) else measured


def _epochs(record: TrialRecord) -> tuple[EpochPoint, ...]:
    found = []
    for epoch, report in sorted(record.reports.items()):
        decision = record.decisions.get(epoch)
        found.append(
            EpochPoint(
                epoch,
                report.metrics,
                report.value,
                decision.action if decision else "",
                decision.needed if decision else None,
            )
        )
    return tuple(found)
