"""vaeforge: distributed hyperparameter search and model registry for variational autoencoders.

What is exported here is the Python interface (docs/python.md); everything else is private and may change. Importing
this package is cheap: torch, Ray and MLflow come with the first call that needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaeforge.api.history import History
    from vaeforge.api.models import Model, Scores, load, load_trained
    from vaeforge.api.results import Evaluation, SearchResult
    from vaeforge.errors import VaeforgeError
    from vaeforge.trained import TrainedModel

from vaeforge.api.steps import evaluate, export, train, tune, write_report
from vaeforge.version import __version__

_LAZY = {
    "Evaluation": "vaeforge.api.results",
    "History": "vaeforge.api.history",
    "Model": "vaeforge.api.models",
    "Scores": "vaeforge.api.models",
    "SearchResult": "vaeforge.api.results",
    "TrainedModel": "vaeforge.trained",
    "VaeforgeError": "vaeforge.errors",
    "load": "vaeforge.api.models",
    "load_trained": "vaeforge.api.models",
}
__all__ = [
    "Evaluation",
    "History",
    "Model",
    "Scores",
    "SearchResult",
    "TrainedModel",
    "VaeforgeError",
    "__version__",
    "evaluate",
    "export",
    "load",
    "load_trained",
    "train",
    "tune",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """What is exported and not imported yet (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
