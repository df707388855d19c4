"""What the ledger's last line says: why a search ended, and how far it was asked to go."""

from typing import Any

from vaeforge.ledger.history import read_history
from vaeforge.search.plan import Plan, asked
from vaeforge.search.results.ranking import rank


def ending(plan: Plan, reason: str, seconds: float) -> dict[str, Any]:
    """The fields of `ended`, `seconds` after the session began."""
    history = read_history(plan.ledger)
    best = rank(history, plan.space.objective)[:1]
    return {
        "reason": reason,
        "asked": asked(plan.config.search),
        "seconds": seconds,
        "trials": len(history.trials),
        "best": best[0].trial.number if best else None,
        "value": best[0].value if best else None,
    }
