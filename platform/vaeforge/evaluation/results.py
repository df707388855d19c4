"""Results of an evaluation: numbers, comparisons, curves, tables, figures and arrays."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.evaluation.comparison import ComparisonRow

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationResult:
    """Everything that one evaluation writes.

    Attributes:
        metrics: flat `val/...` and `test/...` numbers.
        rows: the model beside simpler means.
        curves: x and y of named curves, for files and plots.
        tables: other tables by file name, a mapping per line with the same keys.
        figures: by file name.
        arrays: named arrays to keep (latent libraries, generated samples), by file name.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    rows: list[ComparisonRow] = field(default_factory=list)
    curves: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    arrays: dict[str, dict[str, NDArray[Any]]] = field(default_factory=dict)

    def joined(self, other: "EvaluationResult") -> "EvaluationResult":
        """These results and the other's."""
        return EvaluationResult(
            self.metrics | other.metrics,
            self.rows + other.rows,
            self.curves | other.curves,
            self.tables | other.tables,
            self.figures | other.figures,
            self.arrays | other.arrays,
        )
