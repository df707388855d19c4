"""Agreement of a search's journal for optuna-dashboard with its ledger."""

from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from vaeforge.ledger.history import SearchHistory
from vaeforge.search.samplers.optuna_bridge.study import silence_optuna

STATES = {
    None: ("RUNNING", "WAITING"),
    "completed": ("COMPLETE",),
    "early_stopped": ("COMPLETE",),
    "stopped": ("PRUNED", "FAIL"),
    "failed": ("FAIL",),
}


def journal_disagreements(path: Path, history: SearchHistory) -> list[str]:
    """Which trials of the study at `path` are in another state than the ledger says; empty where they agree."""
    if not path.exists():
        return [f"{path}: not found"]
    silence_optuna()
    study = optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(path))))
    told = {trial.number: trial.state.name for trial in study.trials}
    found = [f"trial {number} is not in it" for number in sorted(set(history.trials) - set(told))]
    found += [f"trial {number} is in no ledger" for number in sorted(set(told) - set(history.trials))]
    for number in sorted(set(told) & set(history.trials)):
        state = history.trials[number].state
        if told[number] not in STATES[state]:
            found.append(f"trial {number} is {told[number]}, by the ledger {state or 'running'}")
    return found
