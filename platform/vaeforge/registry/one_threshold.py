"""One threshold of a package: that of its contract and the one that its evaluation measured are the same."""

import math

from vaeforge.errors import RegistryError
from vaeforge.evaluation.manifest import EvaluationManifest
from vaeforge.evaluation.threshold import QUANTILE_METRIC, THRESHOLD_METRIC
from vaeforge.package.contract import CONTRACT, Contract

AGREEMENT = 1e-4  # of thresholds of one model, measured on two machines


def require_one_threshold(contract: Contract, evaluation: EvaluationManifest) -> None:
    """Refuse a package whose threshold is not the one that was measured.

    Raises:
        RegistryError: with both.
    """
    measured, quantile = evaluation.metrics.get(THRESHOLD_METRIC), evaluation.metrics.get(QUANTILE_METRIC)
    if measured is None or quantile is None:
        return
    if contract.quantile != quantile or not math.isclose(contract.threshold, measured, rel_tol=AGREEMENT):
        raise RegistryError(
            f"{CONTRACT}: its threshold is {contract.threshold:.6g} for the quantile {contract.quantile:g}, but the "
            f"evaluation measured {measured:.6g} for {quantile:g}; run `vaeforge evaluate` and `vaeforge export` again"
        )
