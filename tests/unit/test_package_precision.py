"""Smaller precisions: which nodes they touch, and that inputs keep what float16 cannot hold."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from samples import random_arrays, small_experiment
from vaeforge.errors import ConfigError, RegistryError
from vaeforge.package import precision as module
from vaeforge.package.bundle import open_session
from vaeforge.package.export import export_graphs
from vaeforge.package.fp16 import between_products, to_fp16
from vaeforge.package.graphs import graphs_of
from vaeforge.package.precision import Calibration, convert, ordered_precisions
from vaeforge.samples import Samples
from vaeforge.training.loop import untrained
from vaeforge_models.families import families


def chain() -> onnx.ModelProto:
    """x -> (x - 10000) -> MatMul -> Relu -> MatMul -> * 100000, with x beside it as a second output."""
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["centred"], name="centre"),
        helper.make_node("MatMul", ["centred", "a"], ["hidden"], name="first"),
        helper.make_node("Relu", ["hidden"], ["active"], name="relu"),
        helper.make_node("MatMul", ["active", "b"], ["out"], name="second"),
        helper.make_node("Mul", ["out", "scale"], ["y"], name="scaled"),
        helper.make_node("Abs", ["x"], ["size"], name="beside"),
    ]
    values = {"mean": np.float32(10_000), "a": np.eye(2), "b": 2 * np.eye(2), "scale": np.float32(100_000)}
    weights = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in values.items()]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("x", "y", "size")]
    graph = helper.make_graph(nodes, "chain", tensors[:1], tensors[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_only_what_lies_between_products_is_halved(tmp_path: Path) -> None:
    proto = chain()
    assert between_products(list(proto.graph.node)) == {"first", "relu", "second"}
    onnx.save(to_fp16(proto), str(tmp_path / "half.onnx"))
    onnx.checker.check_model(str(tmp_path / "half.onnx"), full_check=True)
    result = onnx.load(str(tmp_path / "half.onnx")).graph
    assert [node.op_type for node in result.node if node.op_type == "Cast"] == ["Cast", "Cast"]
    types = {one.name: one.data_type for one in result.initializer}
    assert types == {
        "mean": TensorProto.FLOAT,
        "scale": TensorProto.FLOAT,
        "a_fp16": TensorProto.FLOAT16,
        "b_fp16": TensorProto.FLOAT16,
    }
    x = np.array([[10_000.5, 9_999.0]], dtype=np.float32)  # float16 knows 10,000 and 10,008, nothing between
    y, size = open_session(tmp_path / "half.onnx").run(["y", "size"], {"x": x})
    np.testing.assert_array_equal(y, [[100_000.0, 0.0]])
    np.testing.assert_array_equal(size, x)


def test_the_original_is_left_alone() -> None:
    proto = chain()
    before = proto.SerializeToString(deterministic=True)
    to_fp16(proto)
    assert proto.SerializeToString(deterministic=True) == before


def test_precisions_are_read_in_their_order_and_fp32_is_always_there() -> None:
    assert ordered_precisions(()) == ("fp32",)
    assert ordered_precisions(("int8", "fp16")) == ("fp32", "fp16", "int8")
    with pytest.raises(ConfigError, match=r"--precision: got 'fp61', must be .*did you mean 'fp16'\?"):
        ordered_precisions(("fp16", "fp61"))


def test_calibration_takes_the_centre_of_training_images() -> None:
    x = np.zeros((20, 1, 6, 6), dtype=np.uint8)
    x[:, :, 1:5, 1:5] = 200
    reader = Calibration(Samples.unconditional(x), (1, 4, 4), with_condition=False)
    first, second = reader.get_next(), reader.get_next()
    assert first is not None and second is not None and reader.get_next() is None
    assert first["x"].shape == (16, 1, 4, 4) and second["x"].shape == (4, 1, 4, 4)
    assert first["x"].min() == 200 and first["x"].dtype == np.float32


@pytest.mark.long
def test_int8_takes_dense_layers_and_leaves_convolutions(tmp_path: Path) -> None:
    family = families()["cilia"]
    model = untrained(small_experiment(family, tmp_path), family.example).eval()
    view = {"model": graphs_of(model, family.example.condition_dim)["model"]}
    source = export_graphs(view, tmp_path, {})["model"]
    convert(source, tmp_path / "int8.onnx", "int8", random_arrays(family).train, model.event_shape)
    nodes = [node.op_type for node in onnx.load(str(tmp_path / "int8.onnx")).graph.node]
    assert (nodes.count("Conv"), nodes.count("MatMulInteger"), nodes.count("Gemm")) == (6, 7, 0)


def test_a_network_of_convolutions_alone_is_calibrated_on_training_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.normal(size=(2, 1, 3, 3)).astype(np.float32), "weight")
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", c, 8, 8]) for name, c in (("x", 1), ("y", 2))
    ]
    node = helper.make_node("Conv", ["x", "weight"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "convolution", tensors[:1], tensors[1:], [weight])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "full.onnx"
    )
    train = Samples.unconditional(rng.integers(0, 101, (9, 1, 10, 10), dtype=np.uint8))
    convert(tmp_path / "full.onnx", tmp_path / "int8.onnx", "int8", train, (1, 8, 8))
    full, small = (open_session(tmp_path / f"{name}.onnx") for name in ("full", "int8"))
    inside = train.x[:, :, 1:9, 1:9].astype(np.float32)
    (expected,), (found,) = full.run(None, {"x": inside}), small.run(None, {"x": inside})
    step = (expected.max() - expected.min()) / 255
    assert 0 < np.abs(found - expected).max() < 4 * step
    (beyond,) = small.run(None, {"x": 10 * inside})  # cut off where the training samples end
    assert beyond.max() <= expected.max() + step


def test_weights_too_large_for_one_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(chain(), str(tmp_path / "model.onnx"))
    monkeypatch.setattr(module, "LARGEST", 10)
    train = random_arrays(families()["fmri"]).train
    with pytest.raises(RegistryError, match=r"model\.onnx: weights of more than 2 GB cannot be made fp16"):
        convert(tmp_path / "model.onnx", tmp_path / "half.onnx", "fp16", train, (24,))
    assert not (tmp_path / "half.onnx").exists()
