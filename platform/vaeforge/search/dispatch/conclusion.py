"""Conclusion of a trial: whether its last report or decision was its end, and how it ended then."""

from vaeforge.ledger.events import FINAL_OUTCOMES, UNSOUND_OUTCOMES
from vaeforge.ledger.trial_record import TrialRecord


def conclusion(trial: TrialRecord) -> tuple[str, str | None] | None:
    """The state and the cause of the end that its last report or decision means; none where it goes on."""
    last, decision = trial.last, trial.decisions.get(trial.epoch)
    outcome = last.outcome if last else None
    if outcome in FINAL_OUTCOMES:
        return outcome, None
    if outcome in UNSOUND_OUTCOMES and last is not None and last.value is not None and last.best is not None:
        return "early_stopped", f"diverged in epoch {last.epoch} ({outcome}); its best epoch, {last.best.epoch}, counts"
    if outcome in UNSOUND_OUTCOMES:
        return "failed", outcome
    return ("stopped", decision.why) if decision is not None and decision.action == "stop" else None
