"""End of a search that was over when it was killed: budget used up or target reached, the last line not written.

Nothing is left to train then, so that no cluster is started: trials that had not ended are stopped, and the search is
concluded.
"""

from vaeforge.errors import SearchError
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.search.budget import BudgetLimits
from vaeforge.search.dispatch.dispatcher import Dispatcher
from vaeforge.search.dispatch.types import DispatchConfig
from vaeforge.search.plan import Plan
from vaeforge.search.results.search_end import search_ended


def is_over(plan: Plan, history: SearchHistory) -> bool:
    """Whether an earlier session left nothing to do but to say so.

    Raises:
        SearchError: if the search has ended by itself, and is to go on without anything left to spend.
    """
    limits, floors = BudgetLimits.of(plan.config.search.budget.model_dump()), plan.space.objective.floors
    why = limits.over(history, floors, history.clock_seconds)
    if why is not None and history.ended is not None:
        raise SearchError(f"search {plan.name!r}: its budget is used up ({why}); give a larger --budget to continue")
    return why is not None


def end_search(plan: Plan) -> SearchHistory:
    """Stop the trials that have not ended, write the ledger's last line, and return the whole history."""
    from vaeforge.search.samplers.optuna_bridge.dashboard import Dashboard  # brings Optuna

    ledger = Ledger(plan.ledger)
    try:
        limits = BudgetLimits.of(plan.config.search.budget.model_dump())
        config = DispatchConfig(limits=limits, floors=tuple(plan.space.objective.floors.items()))
        dispatcher = Dispatcher(ledger, read_history(plan.ledger), config)
        dispatcher.recover(now=0.0)
        assert dispatcher.over is not None
        dispatcher.record(search_ended(plan, dispatcher.over, seconds=0.0))
    finally:
        ledger.close()
    history = read_history(plan.ledger)
    Dashboard(plan.folder / "optuna.journal", plan.name, plan.space, history).close()
    return history
