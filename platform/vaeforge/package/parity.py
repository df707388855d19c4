"""Whether the exported graphs compute what torch computes, on real held-out data.

Differences are relative to 1 + |torch| and in the model's normalised units, so that one tolerance fits every output.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from vaeforge.data.contract import Prepared
from vaeforge.errors import RegistryError
from vaeforge.package.graphs import RECONSTRUCTION, Graph, graphs_of
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge_models.vae import VAE

TOLERANCE = 1e-4
BATCHES = (1, 2, 7, 64)
SMALL_BATCH_SAMPLES = 64


@dataclass(frozen=True)
class Comparison:
    """The worst difference of one output over all samples that came in batches of one size, and of which kind."""

    graph: str
    output: str
    batch: int
    worst: float


@dataclass(frozen=True)
class ParityReport:
    """What was compared, and how it ended.

    Attributes:
        tolerance: the largest |onnx - torch| / (1 + |torch|) allowed, in normalised units.
        samples: held-out samples compared; each at batch size 64, the first 64 or so at the smaller sizes.
        runtime: what ran the graphs.
        comparisons: one for each graph, output and batch size.
    """

    tolerance: float
    samples: int
    runtime: str
    comparisons: tuple[Comparison, ...]

    @property
    def worst(self) -> Comparison:
        """The comparison that came out worst; one that is not a number is worse than any."""
        return max(self.comparisons, key=lambda one: (not np.isfinite(one.worst), one.worst))

    @property
    def passed(self) -> bool:
        return all(one.worst <= self.tolerance for one in self.comparisons)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed, "worst": asdict(self.worst)}


def check_parity(model: VAE, files: Mapping[str, Path], prepared: Prepared) -> ParityReport:
    """Compare the graphs in `files` with `model` on the validation and test arrays, and on their extremes as constants.

    Raises:
        RegistryError: if an output differs by more than the tolerance, or a graph cannot be run.
    """
    report = measure_parity(model, files, prepared)
    require_parity(report, files)
    return report


def require_parity(report: ParityReport, files: Mapping[str, Path]) -> None:
    """Refuse a report that did not pass.

    Raises:
        RegistryError: naming the worst output, batch size, difference and the tolerance.
    """
    if not report.passed:
        worst = report.worst
        raise RegistryError(
            f"{files[worst.graph]}: output {worst.output!r} at batch size {worst.batch} differs from torch by "
            f"{worst.worst:.3g}, must be <= {report.tolerance:g} (relative to 1 + |torch|, normalised units); "
            "export again, and if it stays, the graph must not be used"
        )


def measure_parity(model: VAE, files: Mapping[str, Path], prepared: Prepared) -> ParityReport:
    """The comparison of `check_parity` without its verdict; `model` must be in evaluation mode on the CPU."""
    held_out = prepared.validation.joined(prepared.test)
    comparisons: list[Comparison] = []
    for name, graph in graphs_of(model, held_out.condition.shape[1]).items():
        session = open_session(files[name])
        for batch in BATCHES:
            worst = _worst(model, graph, session, _feeds(model, held_out, batch))
            comparisons += [Comparison(name, output, batch, value) for output, value in worst.items()]
    runtime = f"onnxruntime {onnxruntime.__version__}, CPU, 1 thread"
    return ParityReport(TOLERANCE, len(held_out), runtime, tuple(comparisons))


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A session of the graph at `path` on the CPU with one thread.

    Raises:
        RegistryError: if the file is missing or no graph that onnxruntime can run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no public base class
        raise RegistryError(f"{path}: onnxruntime cannot open it ({error}); export the model again") from error


def _take(held_out: Samples, places: range) -> tuple[Tensor, Tensor]:
    """float32 values and conditions; places past the end start over, so that a small set still fills a large batch."""
    raw, condition = held_out.tensors(np.array([place % len(held_out) for place in places]))
    return raw.float(), condition


def _feeds(model: VAE, held_out: Samples, batch: int) -> Iterator[dict[str, Tensor]]:
    """Named inputs, always `batch` samples: held-out data, then their extremes; z and eps from a fixed seed."""
    generator = torch.Generator().manual_seed(derive(0, "parity noise"))
    count = len(held_out) if batch == max(BATCHES) else min(len(held_out), SMALL_BATCH_SAMPLES)
    data = (_take(held_out, range(start, start + batch)) for start in range(0, count, batch))
    condition = _take(held_out, range(batch))[1]
    edges = ((torch.full((batch, *model.event_shape), value), condition) for value in _extremes(held_out))
    for raw, given in chain(data, edges):
        z, eps = torch.randn(2, batch, model.latent_dim, generator=generator)
        yield {"x": raw, "z": z, "eps": eps, "condition": given}


def _extremes(held_out: Samples) -> tuple[float, float]:
    """Black and white for images, the smallest and largest value for anything else."""
    if held_out.x.dtype == np.uint8:
        return 0.0, 255.0
    return float(held_out.x.min()), float(held_out.x.max())


def _worst(
    model: VAE, graph: Graph, session: onnxruntime.InferenceSession, feeds: Iterator[dict[str, Tensor]]
) -> dict[str, float]:
    """The largest relative difference of each output of one graph."""
    worst = dict.fromkeys(graph.outputs, 0.0)
    for named in feeds:
        expected = graph.run(named)
        answers = session.run(list(graph.outputs), {key: named[key].numpy() for key in graph.inputs})
        for output, answer in zip(graph.outputs, answers, strict=True):
            difference = _difference(model, output, torch.from_numpy(answer), expected[output])
            worst[output] = float(np.maximum(worst[output], difference))  # unlike max, this keeps a NaN
    return worst


def _difference(model: VAE, output: str, answer: Tensor, expected: Tensor) -> float:
    if answer.shape != expected.shape:
        return float("inf")
    if output == RECONSTRUCTION:
        answer, expected = model.normalise(answer), model.normalise(expected)
    return float(((answer - expected).abs() / (1 + expected.abs())).max())
