"""The exported graphs: what they take and give, that they stand alone, and that parity notices when they are wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from manifest_samples import prepared_manifest
from vaeforge.config.experiment import Experiment
from vaeforge.data.prepared import Prepared
from vaeforge.errors import RegistryError
from vaeforge.package import export as exporting
from vaeforge.package.bundle import open_session
from vaeforge.package.export import data_file, export, export_graphs, read_graph
from vaeforge.package.graphs import graphs_of
from vaeforge.package.parity import TOLERANCE, check_parity, measure_parity
from vaeforge.samples import Samples
from vaeforge_models.vae import VAE, DataSpec, build_seeded

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("converted_anew")]
SHAPE = (3, 32, 32)
TRUTH = (np.repeat([0, 1], 7), np.arange(14))
OUTPUTS = {
    "model": ["reconstruction", "mu", "logvar", "score"],
    "encoder": ["mu", "logvar"],
    "decoder": ["reconstruction"],
    "reconstruct_eps": ["reconstruction", "mu", "logvar"],
    "error_map": ["score", "error_map"],
}


@pytest.fixture(scope="module")
def model() -> VAE:
    experiment = Experiment.model_validate({"family": "endoscopy", "model": {"latent_dim": 5, "width": 4}})
    build: Any = experiment.definition.build
    return build_seeded(build, experiment.model, DataSpec(SHAPE), seed=3).eval()


@pytest.fixture(scope="module")
def files(model: VAE, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return export(model, tmp_path_factory.mktemp("export"), {"family": "endoscopy"})


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    rng = np.random.default_rng(0)
    parts = (Samples.unconditional(rng.integers(0, 256, (n, *SHAPE), dtype=np.uint8)) for n in (2, 9, 14))
    return Prepared(tmp_path, prepared_manifest(), *parts, *TRUTH, {})


@pytest.fixture
def altered(files: dict[str, Path], tmp_path: Path) -> Callable[[str, str, float], dict[str, Path]]:
    """The files, but one graph has `offset` added to the weights whose name ends in `ending`."""

    def alter(name: str, ending: str, offset: float) -> dict[str, Path]:
        proto = onnx.load(str(files[name]))
        (weights,) = [one for one in proto.graph.initializer if one.name.endswith(ending)]
        values = numpy_helper.to_array(weights) + np.float32(offset)
        weights.CopyFrom(numpy_helper.from_array(values, weights.name))
        onnx.save(proto, str(tmp_path / f"{name}.onnx"))
        return {**files, name: tmp_path / f"{name}.onnx"}

    return alter


def test_each_graph_is_one_file_with_named_outputs_and_a_free_batch(files: dict[str, Path]) -> None:
    assert set(files) == set(OUTPUTS)
    assert sorted(path.name for path in files["model"].parent.iterdir()) == sorted(f"{name}.onnx" for name in OUTPUTS)
    for name, path in files.items():
        proto = read_graph(path)
        assert [output.name for output in proto.graph.output] == OUTPUTS[name]
        for value in (*proto.graph.input, *proto.graph.output):
            assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
        assert [(one.domain, one.version) for one in proto.opset_import] == [("", 20)]
        assert proto.producer_name == "vaeforge"
        assert {"family", "torch", "latent_dim"} == {one.key for one in proto.metadata_props}
        assert all(one.data_location == onnx.TensorProto.DEFAULT for one in proto.graph.initializer)


def test_an_onnxruntime_from_1_18_on_reads_them(files: dict[str, Path]) -> None:
    """It is the first with IR version 10; a newer torch that writes another one raises what users need."""
    for path in files.values():
        graph = onnx.load(path, load_external_data=False)
        assert graph.ir_version <= 10
        assert [(one.domain, one.version) for one in graph.opset_import] == [("", 20)]


def test_nothing_of_the_exporting_machine_is_inside(files: dict[str, Path]) -> None:
    source = str(Path(torch.__file__).parent).encode()
    for path in files.values():
        content = path.read_bytes()
        assert source not in content
        assert b"stack_trace" not in content
        assert b".py" not in content


def test_the_same_weights_give_the_same_bytes_whatever_the_mode(
    model: VAE, files: dict[str, Path], tmp_path: Path
) -> None:
    model.train()
    try:
        again = export(model, tmp_path, {"family": "endoscopy"})
        assert model.training  # the export works on a copy
    finally:
        model.eval()
    for name, path in files.items():
        assert again[name].read_bytes() == path.read_bytes(), name


def test_mlflow_writes_the_same_bytes(files: dict[str, Path], tmp_path: Path) -> None:
    onnx.save_model(read_graph(files["model"]), str(tmp_path / "again.onnx"), save_as_external_data=False)
    assert (tmp_path / "again.onnx").read_bytes() == files["model"].read_bytes()


def test_reconstructions_are_in_raw_units(model: VAE, files: dict[str, Path], prepared: Prepared) -> None:
    raw = prepared.test.x.astype(np.float32)
    reconstruction, mu, _, score = open_session(files["model"]).run(None, {"x": raw})
    with torch.no_grad():
        expected, posterior, expected_score = model.reconstruct(*prepared.test.tensors(slice(None)))
    np.testing.assert_allclose(reconstruction, expected.numpy() * 255, atol=1e-2)
    np.testing.assert_allclose(mu, posterior.mu.numpy(), atol=1e-5)
    np.testing.assert_allclose(score, expected_score.numpy(), rtol=1e-4)
    shown_score, shown = open_session(files["error_map"]).run(None, {"x": raw})
    np.testing.assert_allclose(shown, ((raw / 255 - expected.numpy()) ** 2).mean(1), atol=1e-5)
    np.testing.assert_allclose(shown_score, score, rtol=1e-4)
    (decoded,) = open_session(files["decoder"]).run(None, {"z": mu})
    np.testing.assert_allclose(decoded, reconstruction, atol=1e-2)
    noise = np.zeros_like(mu)
    still = open_session(files["reconstruct_eps"]).run(["reconstruction"], {"x": raw, "eps": noise})[0]
    np.testing.assert_allclose(still, reconstruction, atol=1e-2)
    moved = open_session(files["reconstruct_eps"]).run(["reconstruction"], {"x": raw, "eps": noise + 3})[0]
    assert np.abs(moved - reconstruction).max() > 1e-2


def test_parity_holds_at_every_batch_size_and_at_the_edges(
    model: VAE, files: dict[str, Path], prepared: Prepared
) -> None:
    report = check_parity(model, files, prepared)
    assert report.passed
    assert report.samples == 9 + 14
    found = {(one.graph, one.output, one.case) for one in report.comparisons}
    cases = ("batch 1", "batch 2", "batch 7", "batch 64", "edges")
    assert found == {(g, o, case) for g, outputs in OUTPUTS.items() for o in outputs for case in cases}
    assert 0 < report.worst.max_rel < TOLERANCE / 10
    assert all(0.9999 < one.cosine < 1.0001 for one in report.comparisons)


@pytest.mark.parametrize(
    ("graph", "weights", "output"),
    [
        ("model", "to_mu.bias", "mu"),
        ("encoder", "to_logvar.bias", "logvar"),
        ("decoder", "decoder.7.bias", "reconstruction"),
        ("reconstruct_eps", "to_logvar.bias", "logvar"),
        ("error_map", "decoder.7.bias", "score"),
    ],
)
def test_an_altered_graph_is_refused(
    model: VAE,
    prepared: Prepared,
    altered: Callable[[str, str, float], dict[str, Path]],
    graph: str,
    weights: str,
    output: str,
) -> None:
    message = rf"{graph}\.onnx: output '{output}' \(.*, CPU\) differs from torch by .* must be <= 0\.0001 for fp32"
    with pytest.raises(RegistryError, match=message):
        check_parity(model, altered(graph, weights, 0.01), prepared)


def test_a_graph_that_gives_no_number_is_refused(
    model: VAE, prepared: Prepared, altered: Callable[[str, str, float], dict[str, Path]]
) -> None:
    report = measure_parity(model, altered("encoder", "to_mu.bias", float("nan")), prepared)
    assert not report.passed
    assert (report.worst.graph, report.worst.output) == ("encoder", "mu")


def test_a_graph_that_is_wrong_on_white_images_alone_is_refused(
    model: VAE, files: dict[str, Path], prepared: Prepared, tmp_path: Path
) -> None:
    proto = onnx.load(str(files["encoder"]))
    for node in proto.graph.node:
        node.input[:] = ["clipped" if name == "x" else name for name in node.input]
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(200), "limit"))
    proto.graph.node.insert(0, onnx.helper.make_node("Clip", ["x", "", "limit"], ["clipped"]))
    onnx.save(proto, str(tmp_path / "encoder.onnx"))
    parts = (Samples.unconditional(part.x // 2) for part in (prepared.validation, prepared.test))
    dim = Prepared(tmp_path, prepared_manifest(), prepared.train, *parts, *TRUTH, {})
    with pytest.raises(RegistryError, match=r"encoder\.onnx: output"):
        check_parity(model, {**files, "encoder": tmp_path / "encoder.onnx"}, dim)


def test_a_truncated_graph_is_refused(files: dict[str, Path], model: VAE, prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(files["model"].read_bytes()[:-1000])
    with pytest.raises(RegistryError, match=r"model\.onnx: onnxruntime cannot open it"):
        check_parity(model, {**files, "model": tmp_path / "model.onnx"}, prepared)
    with pytest.raises(RegistryError, match=r"model\.onnx: cannot be read as ONNX"):
        read_graph(tmp_path / "model.onnx")
    with pytest.raises(RegistryError, match="missing"):
        read_graph(tmp_path / "missing.onnx")


def test_weights_too_large_for_one_file_lie_beside_it(
    model: VAE, files: dict[str, Path], prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = {"model": graphs_of(model, 0)["model"]}
    with monkeypatch.context() as patched:
        patched.setattr(exporting, "LARGEST", 1000)
        path = export_graphs(view, tmp_path, {})["model"]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert path.stat().st_size < files["model"].stat().st_size / 2
    assert measure_parity(model, {"model": path}, prepared, view).passed
    export_graphs(view, tmp_path, {})
    assert not data_file(path).exists()  # it would be taken for the weights of the new one
    assert measure_parity(model, {"model": path}, prepared, view).passed
