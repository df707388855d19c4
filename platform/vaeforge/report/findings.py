"""Findings of a search in sentences: what won and how sure that is, which schedule, collapse, simpler methods."""

from collections.abc import Iterator, Sequence

from vaeforge.report.failures import failure_sentences
from vaeforge.report.figures.evaluation import baseline_verdict
from vaeforge.report.figures.schedules import schedule_findings
from vaeforge.report.record import SearchRecord
from vaeforge.search.progress_view import counted, winner_words

STATES = {"ended": "ended", "interrupted": "was interrupted", "running": "has not ended"}


def findings(record: SearchRecord) -> list[str]:
    """The sentences at the top of the page."""
    failed = list(failure_sentences(record))
    return [
        *_standing(record),
        *(failed or _winner(record)),
        *schedule_findings(record),
        *_latents(record),
        *_evaluation(record),
    ]


def _standing(record: SearchRecord) -> Iterator[str]:
    history = record.history
    reason = f" ({history.ended.reason})" if history.ended is not None and history.ended.reason != "trials" else ""
    yield f"The search {STATES[history.phase]}{reason}: {counted(history.counts())}."
    if record.damaged:
        yield f"{record.damaged} line(s) of its ledger are damaged; what they said is missing here."


def _winner(record: SearchRecord) -> Iterator[str]:
    if not any(trial.done for trial in record.trials):
        yield "0 trials were trained fully, so that none can be compared with others; the table says why."
    best = record.best
    if best is None:
        yield f"No trial is handed on: {record.ranking.problem or 'none has a value'}."
        return
    words = winner_words(record.history, record.objective)
    yield f"{words[:1].upper()}{words[1:]}."
    beta = "" if best.full_beta is None else f" with full β {best.full_beta:.4g}"
    size = "" if best.latent_size is None else f" and latent size {best.latent_size}"
    yield f"Its schedule is {best.schedule}{beta}{size}."


def _latents(record: SearchRecord) -> Iterator[str]:
    gone = [trial.number for trial in record.trials if trial.collapsed]
    if gone:
        yield f"{len(gone)} of {len(record.trials)} trials ended in posterior collapse: {_listed(gone)}."


def _evaluation(record: SearchRecord) -> Iterator[str]:
    if record.evaluated is not None and record.evaluated.manifest.comparison:
        yield baseline_verdict(record.evaluated.manifest.comparison)


def _listed(numbers: Sequence[int], most: int = 12) -> str:
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more
