"""File parity.json of an export: everything that was compared with torch, in fp32 and in each smaller precision.

For people, also after an export that was refused; what later steps need of it is in the manifest (`ParityOutcome`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vaeforge.manifests.export import QualityLoss
from vaeforge.package.parity import OutputComparison, ParityReport
from vaeforge.paths import write_json
from vaeforge.records import SPREAD, to_json

PARITY = "parity.json"


@dataclass(frozen=True)
class PrecisionParity:
    """The parity of the main graph in a smaller precision, and what the precision costs."""

    report: ParityReport = field(metadata=SPREAD)
    passed: bool
    worst: OutputComparison
    quality: QualityLoss


@dataclass(frozen=True)
class ExportParity:
    """The parity of the fp32 graphs, and of the smaller precisions by name."""

    report: ParityReport = field(metadata=SPREAD)
    passed: bool
    worst: OutputComparison
    precisions: Mapping[str, PrecisionParity]


def precision_parity(report: ParityReport, quality: QualityLoss) -> PrecisionParity:
    """What the file says of one smaller precision."""
    return PrecisionParity(report, report.passed, report.worst, quality)


def write_parity(folder: Path, report: ParityReport, precisions: Mapping[str, PrecisionParity]) -> None:
    """Write the file into `folder` atomically; a number that is not finite is null."""
    write_json(folder / PARITY, to_json(ExportParity(report, report.passed, report.worst, precisions), finite=True))
