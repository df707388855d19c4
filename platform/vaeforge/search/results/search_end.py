"""End of a session that ended by itself, as the ledger tells it."""

from vaeforge.ledger.events import SearchEnded
from vaeforge.ledger.history import read_history
from vaeforge.search.plan import Plan, search_extent
from vaeforge.search.results.ranking import rank


def search_ended(plan: Plan, reason: str, seconds: float) -> SearchEnded:
    """The ledger's last line: why the search ended, `seconds` after the session began, and how far it was to go."""
    history = read_history(plan.ledger)
    best = rank(history, plan.space.objective)[:1]
    return SearchEnded(
        reason=reason,
        asked=search_extent(plan.config.search),
        seconds=seconds,
        trials=len(history.trials),
        best=best[0].trial.number if best else None,
        value=best[0].value if best else None,
    )
