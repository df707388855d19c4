"""Parity's numbers against an example worked out by hand, and what it feeds to graphs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from manifest_samples import prepared_manifest
from vaeforge.data.prepared import Prepared
from vaeforge.package.graphs import Graph
from vaeforge.package.parity import OutputComparison, ParityReport, measure_parity, relative
from vaeforge.package.parity_file import PARITY, write_parity
from vaeforge.package.parity_inputs import BATCHES, FAR, ParityInputs, subsample_evenly
from vaeforge.paths import read_json
from vaeforge.samples import Samples
from vaeforge_models.vae import VAE, DataSpec, build_seeded

VOXELS = 4


class Answers(nn.Module):
    """The first value as `mu`, its square as `score`."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x[:, :1], x[:, 0].square()


@pytest.fixture
def model(tmp_path: Path) -> VAE:
    from vaeforge_models.families import families

    family = families()["fmri"]
    settings = family.settings.model_validate({"latent_dim": 3, "hidden": [4]})
    return build_seeded(family.build, settings, DataSpec((VOXELS,)), seed=0).eval()


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Values 0, 1, 2, 3 of the first voxel, one sample each to validate and three to test."""
    x = np.zeros((4, VOXELS), dtype=np.float32)
    x[:, 0] = np.arange(4)
    parts = (Samples.unconditional(part) for part in (x[:1], x[:1], x[1:]))
    return Prepared(tmp_path, prepared_manifest(), *parts, np.zeros(3, np.int64), np.arange(3), {})


def offset_graph(path: Path, mu: float, score: float) -> Path:
    """`Answers` as ONNX, off by `mu` and `score`."""
    nodes = [
        helper.make_node("Slice", ["x", "zero", "one", "one"], ["first"]),
        helper.make_node("Add", ["first", "mu_offset"], ["mu"]),
        helper.make_node("Mul", ["first", "first"], ["squares"]),
        helper.make_node("Squeeze", ["squares", "one"], ["square"]),
        helper.make_node("Add", ["square", "score_offset"], ["score"]),
    ]
    constants = {"zero": [0], "one": [1]}
    weights = [onnx.numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()]
    offsets = {"mu_offset": mu, "score_offset": score}
    weights += [onnx.numpy_helper.from_array(np.float32(value), name) for name, value in offsets.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", VOXELS])
    outputs = [
        helper.make_tensor_value_info("mu", TensorProto.FLOAT, ["batch", 1]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
    ]
    nodes[0].input[:] = ["x", "zero", "one", "one"]
    graph = helper.make_graph(nodes, "answers", [x], outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    return path


def measured(model: VAE, prepared: Prepared, path: Path) -> ParityReport:
    view = Graph(Answers(), {"x": torch.zeros(2, VOXELS)}, ("mu", "score"))
    return measure_parity(model, {"model": path}, prepared, {"model": view}, tolerance=0.2)


def test_differences_are_relative_to_an_outputs_range_over_the_data(
    model: VAE, prepared: Prepared, tmp_path: Path
) -> None:
    path = offset_graph(tmp_path / "model.onnx", mu=0.3, score=0.9)
    report = measured(model, prepared, path)
    rows = {(one.output, one.case): one for one in report.comparisons if one.provider == "CPU"}
    # mu is 0 to 3, the score 0 to 9
    for case in ("batch 1", "batch 64"):
        assert rows["mu", case].max_abs == pytest.approx(0.3, rel=1e-5)
        assert rows["mu", case].max_rel == pytest.approx(0.1, rel=1e-5)
        assert rows["score", case].max_abs == pytest.approx(0.9, rel=1e-5)
        assert rows["score", case].max_rel == pytest.approx(0.1, rel=1e-5)
    # four samples, one at a time: (0, 1, 2, 3) and (0.3, 1.3, 2.3, 3.3)
    cosine = (1 * 1.3 + 2 * 2.3 + 3 * 3.3) / np.sqrt(14 * (0.3**2 + 1.3**2 + 2.3**2 + 3.3**2))
    assert rows["mu", "batch 1"].cosine == pytest.approx(cosine, rel=1e-6)
    # the furthest edge is 3 + 10 * 3 = 33: there mu reaches from 0 to 33; at the nearest, 0, the data's range counts
    assert rows["mu", "edges"].max_rel == pytest.approx(0.1, rel=1e-5)
    assert report.passed and report.samples == 4


def test_a_report_with_what_is_no_number_fails_and_is_json(model: VAE, prepared: Prepared, tmp_path: Path) -> None:
    report = measured(model, prepared, offset_graph(tmp_path / "model.onnx", mu=0.0, score=float("nan")))
    assert not report.passed
    assert report.worst.output == "score"
    write_parity(tmp_path, report, {})
    written = read_json(tmp_path / PARITY, "")
    assert written["passed"] is False and written["worst"]["max_rel"] is None
    assert written["worst"] in written["comparisons"] and written["samples"] == 4


def test_an_output_that_never_varies_must_agree_exactly() -> None:
    assert relative(0.0, 0.0) == 0.0
    assert relative(1e-12, 0.0) == float("inf")
    assert relative(0.5, 2.0) == 0.25


def test_the_worst_comparison_is_the_one_that_is_no_number() -> None:
    rows = [OutputComparison("model", "mu", "CPU", "edges", value, value, 1.0) for value in (0.1, float("nan"), 0.5)]
    assert np.isnan(ParityReport("fp32", 1.0, 1, "", tuple(rows)).worst.max_rel)


def test_all_samples_come_in_the_largest_batches_and_edges_go_far_out(model: VAE) -> None:
    x = np.arange(70, dtype=np.float32)[:, None].repeat(VOXELS, 1)
    inputs = ParityInputs(model, Samples.unconditional(x), {"t": 100})
    large = list(inputs.batches(64))
    assert [len(named["x"]) for named in large] == [64, 64]
    assert set(torch.cat([named["x"][:, 0] for named in large]).tolist()) == set(range(70))
    assert sum(len(named["x"]) for named in inputs.batches(7)) == 70  # ten batches hold the first 64
    assert (large[0]["t"].min(), large[0]["t"].max(), large[0]["t"].dtype) == (0, 99, torch.int64)
    edges = list(inputs.edges(out_of_range=True))
    assert {float(named["x"][0, 0]) for named in inputs.edges(out_of_range=False)} == {0.0, 69.0}
    assert {len(named["x"]) for named in edges} == set(BATCHES)
    assert {float(named["x"][0, 0]) for named in edges} == {0.0, 69.0, -690.0, 69.0 + FAR * 69.0}
    assert {float(named["z"].abs().max()) for named in edges if named["x"].abs().max() > 69} == {FAR}


def test_many_samples_are_thinned_evenly() -> None:
    samples = Samples.unconditional(np.arange(10, dtype=np.float32)[:, None])
    assert subsample_evenly(samples, 4).x[:, 0].tolist() == [0, 3, 6, 9]
    assert subsample_evenly(samples, 10) is samples
