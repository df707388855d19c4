"""Retired settings: those that earlier versions wrote and this one does not have."""

from collections.abc import Mapping
from typing import Any

RETIRED = {  # settings of earlier versions, and what to do with them
    "gates.margin": (
        "is gone: it was in nats per value, and the margin is now a share of what the best version gained over the "
        "training mean; delete it, or write gates.likelihood_margin, 0.05 by default"
    ),
    "gates.draws": "is gone: intervals are no longer drawn by a bootstrap; delete it",
}


def without_retired(settings: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's settings as an earlier version wrote them, without those that this one does not have."""
    kept: dict[str, Any] = dict(settings)
    for path in RETIRED:
        section, _, key = path.partition(".")
        if isinstance(kept.get(section), Mapping):
            kept[section] = {name: value for name, value in kept[section].items() if name != key}
    return kept
