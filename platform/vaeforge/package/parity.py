"""Parity of exported graphs with torch, on real held-out data and on edge cases.

Differences are relative to an output's range over the held-out data, zero included, so that one tolerance fits every
output; over an edge case where that reaches further. Reconstructions are compared in model units. Outputs that have a
unit of their own (latents in standard deviations of the prior, values in model units) have a range of at least 1: those
of a collapsed model vary by less than rounding does. Scores and error maps have none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from vaeforge.data.prepared import Prepared
from vaeforge.errors import RegistryError
from vaeforge.manifests.export import ParityOutcome
from vaeforge.package.bundle import CPU, open_session
from vaeforge.package.graphs import ERROR_MAP, RECONSTRUCTION, Graph, graphs_of
from vaeforge.package.parity_inputs import BATCHES, EDGES, NamedInputs, ParityInputs, subsample_evenly
from vaeforge.progress import through
from vaeforge_models.vae import VAE

TOLERANCE = 1e-4
UNITLESS = {"score", ERROR_MAP}
CUDA = "CUDAExecutionProvider"
EXACT = {"use_tf32": "0"}  # by default 10 bits of the 23 of a float32 go into products
PARITY_UNITS = 4  # of an export's progress


@dataclass(frozen=True)
class OutputComparison:
    """How one output of one graph departs from torch's over all batches of one kind.

    Attributes:
        graph, output: by name.
        provider: what ran it: CPU or CUDA.
        case: `batch 64` and so on for held-out data in batches of this size, or `edges`.
        max_abs: the largest difference, reconstructions in model units.
        max_rel: the same, relative to the output's range; see the module's docstring.
        cosine: of the angle between all values; 1 for the same direction.
    """

    graph: str
    output: str
    provider: str
    case: str
    max_abs: float
    max_rel: float
    cosine: float


@dataclass(frozen=True)
class ParityReport:
    """What was compared, and how it ended.

    Attributes:
        precision: of the graphs: fp32, fp16 or int8.
        tolerance: the largest `max_rel` allowed.
        samples: held-out samples compared; each at batch size 64, the first 64 or so at the smaller sizes.
        runtime: what ran the graphs.
        comparisons: one for each provider, graph, output and case.
    """

    precision: str
    tolerance: float
    samples: int
    runtime: str
    comparisons: tuple[OutputComparison, ...]

    @property
    def worst(self) -> OutputComparison:
        """The comparison that came out worst; one that is not a number is worse than any."""
        return max(self.comparisons, key=lambda one: (not np.isfinite(one.max_rel), one.max_rel))

    @property
    def passed(self) -> bool:
        return all(one.max_rel <= self.tolerance for one in self.comparisons)

    @property
    def outcome(self) -> ParityOutcome:
        """As manifests repeat it."""
        return ParityOutcome(self.passed, self.worst.max_rel, self.tolerance)


@dataclass
class _Tally:
    """Running comparison of one output; `low` and `high` end the range of torch's values, zero included."""

    max_abs: float = 0.0
    max_rel: float = 0.0
    low: float = 0.0
    high: float = 0.0
    products: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def add(self, answer: Tensor, expected: Tensor) -> float:
        """Take in one batch; its largest difference."""
        if answer.shape != expected.shape:
            self.max_abs = float("inf")
            return self.max_abs
        a, b = answer.double().flatten(), expected.double().flatten()
        self.low, self.high = min(self.low, float(b.min())), max(self.high, float(b.max()))
        for place, (left, right) in enumerate(((a, b), (a, a), (b, b))):
            self.products[place] += float(left @ right)
        largest = float((a - b).abs().max())
        self.max_abs = float(np.maximum(self.max_abs, largest))  # unlike max, this keeps a NaN
        return largest

    @property
    def cosine(self) -> float:
        mixed, left, right = self.products
        return 1.0 if left == right == 0.0 else mixed / float(np.sqrt(left * right)) if left * right else 0.0


def check_parity(model: VAE, files: Mapping[str, Path], prepared: Prepared) -> ParityReport:
    """Compare the graphs in `files` with `model` on validation and test samples and on edge cases.

    Raises:
        RegistryError: if an output differs by more than the tolerance, or a graph cannot be run.
    """
    report = measure_parity(model, files, prepared)
    require_parity(report, files)
    return report


def require_parity(report: ParityReport, files: Mapping[str, Path]) -> None:
    """Refuse a report that did not pass.

    Raises:
        RegistryError: naming the worst output, where it came out so, its difference and the tolerance.
    """
    if not report.passed:
        worst = report.worst
        raise RegistryError(
            f"{files[worst.graph]}: output {worst.output!r} ({worst.case}, {worst.provider}) differs from torch by "
            f"{worst.max_rel:.3g} of its range, must be <= {report.tolerance:g} for {report.precision}; "
            "export again, and if it stays, the graph must not be used"
        )


def measure_parity(
    model: VAE,
    files: Mapping[str, Path],
    prepared: Prepared,
    graphs: Mapping[str, Graph] | None = None,
    precision: str = "fp32",
    tolerance: float = TOLERANCE,
    out_of_range: bool = True,
) -> ParityReport:
    """The comparison of `check_parity` without its verdict, on at most 2048 subsample_evenly spaced held-out samples.

    Args:
        model: in evaluation mode on the CPU.
        files: the graphs' files by name.
        prepared: the data.
        graphs: what torch computes, by the same names; by default the views of `graphs_of`.
        precision, tolerance: see `ParityReport`.
        out_of_range: compare edge cases beyond the data, too; smaller precisions are for data within their range.
    """
    held_out = subsample_evenly(prepared.validation.joined(prepared.test))
    views = graphs_of(model, held_out.condition.shape[1]) if graphs is None else graphs
    comparisons: list[OutputComparison] = []
    for provider in providers():
        for name, graph in through(list(views.items()), "comparing with torch", PARITY_UNITS / len(providers())):
            session = open_session(files[name], providers=CPU if provider == "CPU" else ((CUDA, EXACT), *CPU))
            compared = _compare(ParityInputs(model, held_out, graph.limits), graph, session, out_of_range)
            comparisons += [OutputComparison(name, output, provider, case, *row) for output, case, *row in compared]
    runtime = f"onnxruntime {onnxruntime.__version__}, 1 thread"
    return ParityReport(precision, tolerance, len(held_out), runtime, tuple(comparisons))


def providers() -> tuple[str, ...]:
    """CPU, and CUDA where onnxruntime has it."""
    return ("CPU", "CUDA") if CUDA in onnxruntime.get_available_providers() else ("CPU",)


def _compare(
    inputs: ParityInputs, graph: Graph, session: onnxruntime.InferenceSession, out_of_range: bool
) -> Iterator[tuple[str, str, float, float, float]]:
    """Output, case, max_abs, max_rel and cosine; the largest batches come first, as they tell the ranges."""
    scales: dict[str, float] = {}
    for size in BATCHES:
        tallies = {output: _Tally() for output in graph.outputs}
        for named in inputs.batches(size):
            for output, answer, expected in _answers(inputs.model, graph, session, named):
                tallies[output].add(answer, expected)
        scales = scales or {output: _scale(output, tally) for output, tally in tallies.items()}
        for output, tally in tallies.items():
            yield output, f"batch {size}", tally.max_abs, relative(tally.max_abs, scales[output]), tally.cosine
    for output, tally in _edge_tallies(inputs, graph, session, scales, out_of_range).items():
        yield output, EDGES, tally.max_abs, tally.max_rel, tally.cosine


def _edge_tallies(
    inputs: ParityInputs,
    graph: Graph,
    session: onnxruntime.InferenceSession,
    scales: Mapping[str, float],
    out_of_range: bool,
) -> dict[str, _Tally]:
    tallies = {output: _Tally() for output in graph.outputs}
    for named in inputs.edges(out_of_range):
        for output, answer, expected in _answers(inputs.model, graph, session, named):
            own, tally = _Tally(), tallies[output]
            own.add(answer, expected)
            found = relative(tally.add(answer, expected), max(scales[output], _scale(output, own)))
            tally.max_rel = float(np.maximum(tally.max_rel, found))
    return tallies


def _answers(
    model: VAE, graph: Graph, session: onnxruntime.InferenceSession, named: NamedInputs
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Each output as the graph gives it and as torch does."""
    expected = graph.run(named)
    answers = session.run(list(graph.outputs), {key: named[key].numpy() for key in graph.inputs})
    for output, answer in zip(graph.outputs, map(torch.from_numpy, answers), strict=True):
        if output == RECONSTRUCTION and answer.shape == expected[output].shape:
            yield output, model.normalise(answer), model.normalise(expected[output])
        else:
            yield output, answer, expected[output]


def _scale(output: str, tally: _Tally) -> float:
    return max(tally.high - tally.low, 0.0 if output in UNITLESS else 1.0)


def relative(difference: float, scale: float) -> float:
    """`difference` in units of `scale`; where the scale is 0 nothing but no difference will do."""
    if scale == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return difference / scale
