"""What a person sees of a search, in a terminal and without one."""

import io
from typing import Any

from rich.console import Console

from vaeforge.search.history import fold
from vaeforge.search.view import View, causes, ranking

PARAMS = {"model.latent_dim": 12, "beta.schedule": "linear", "beta.value": 0.123456}
SNAPSHOT: dict[str, Any] = {
    "trials": [
        {"trial": 0, "params": PARAMS, "epoch": 6, "value": 12.345, "state": "completed", "host": None, "cause": None},
        {"trial": 1, "params": PARAMS, "epoch": 2, "value": 20.0, "state": "running", "host": 1, "cause": None},
    ],
    "hosts": {0: [], 1: []},
    "counts": {"completed": 1, "running": 1},
    "failure": None,
}


def shown(terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=120)
    with View(console, "s", total=4, epochs=6) as view:
        view.update(SNAPSHOT)
    return text.getvalue()


def test_a_terminal_gets_a_table_and_a_file_gets_lines() -> None:
    for text in (shown(terminal=True), shown(terminal=False)):
        assert "1/4 trials ended (1 completed, 1 running)" in text
        assert "2 host(s)" in text and "best 12.35" in text
    assert "latent_dim=12 schedule=linear value=0.1235" in shown(terminal=True)
    assert "6/6" in shown(terminal=True)
    assert len(shown(terminal=False).splitlines()) == 1


def test_ranking_and_causes() -> None:
    checkpoint = {"file": "f", "sha256": "0", "epoch": 3}
    metrics = {"val/nelbo": 7.5, "val/rate": 2.25, "val/active_units": 5.0}
    report = {"attempt": 1, "epoch": 3, "seconds": 1.0, "checkpoint": checkpoint, "best": checkpoint}
    history = fold(
        [
            {"event": "submitted", "trial": 0, "params": PARAMS, "group": "linear"},
            {"event": "reported", "trial": 0, "metrics": metrics, "value": 7.5, "outcome": "completed", **report},
            {"event": "finished", "trial": 0, "state": "completed", "cause": None},
            {"event": "submitted", "trial": 1, "params": PARAMS, "group": "linear"},
            {"event": "finished", "trial": 1, "state": "failed", "cause": "oom"},
        ]
    )
    text = io.StringIO()
    console = Console(file=text, width=120)
    console.print(ranking(history))
    assert all(part in text.getvalue() for part in ("7.50", "2.25", "completed"))
    console.print(causes(history))
    assert "oom" in text.getvalue()
