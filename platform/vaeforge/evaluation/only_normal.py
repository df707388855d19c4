"""Test sets of normal samples alone: what an evaluation of the anomaly task cannot say of them."""

from collections.abc import Mapping

from vaeforge.data.label_values import ONLY_NORMAL

ANOMALOUS_METRIC, NORMAL_METRIC, RATE_METRIC = (
    f"test/{name}" for name in ("count_anomalous", "count_normal", "false_positive_rate")
)


def only_normal_in(metrics: Mapping[str, int | float]) -> str:
    """What is missing in the metrics of an evaluation, and what is there instead; empty where anomalous samples are."""
    if metrics.get(ANOMALOUS_METRIC) != 0:
        return ""
    return (
        f"{ONLY_NORMAL}; of {metrics[NORMAL_METRIC]:.0f} normal ones {100 * metrics[RATE_METRIC]:.3g} % lie above the "
        "threshold, which comes from other normal samples, those of the validation part"
    )
