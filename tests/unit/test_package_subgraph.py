"""Parts of a converted graph: they hold what their outputs need, under their own names, and nothing else."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from torch import Tensor, nn

from vaeforge.package.graphs import Graph, Part
from vaeforge.package.subgraph import cut_out


def whole() -> onnx.ModelProto:
    """double = 2 x; noisy = double + eps; odd = x + 0 * eps."""
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("Add", ["double", "eps"], ["noisy"]),
        helper.make_node("Mul", ["eps", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["odd"]),
    ]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in ("x", "eps")]
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in ("double", "noisy", "odd")]
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [1], [value]) for name, value in (("two", 2), ("zero", 0))]
    graph = helper.make_graph(nodes, "whole", given, told, initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def view(inputs: tuple[str, ...], outputs: tuple[str, ...], names: tuple[str, ...]) -> Graph:
    empty: dict[str, Tensor] = {}
    larger = Graph(nn.Identity(), empty, ("double", "noisy", "odd"))
    return Graph(nn.Identity(), dict.fromkeys(inputs, Tensor()), outputs, part=Part(larger, names))


def test_a_part_holds_what_it_needs_under_its_own_names() -> None:
    cut = cut_out(whole(), view(("x",), ("reconstruction",), ("double",)))
    assert cut is not None
    onnx.checker.check_model(cut, full_check=True)
    assert [one.name for one in cut.graph.initializer] == ["two"] and len(cut.graph.node) == 1
    session = onnxruntime.InferenceSession(cut.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["reconstruction"], {"x": np.array([1, 2, 3], np.float32)})
    assert found.tolist() == [2, 4, 6]


def test_outputs_keep_their_order_and_inputs_too() -> None:
    cut = cut_out(whole(), view(("x", "eps"), ("b", "a"), ("noisy", "double")))
    assert cut is not None and [one.name for one in cut.graph.output] == ["b", "a"]
    assert [one.name for one in cut.graph.input] == ["x", "eps"]


def test_what_needs_another_input_is_no_part() -> None:
    assert cut_out(whole(), view(("x",), ("odd",), ("odd",))) is None


def test_a_value_inside_becomes_an_input_of_the_part() -> None:
    graph = view(("z", "eps"), ("sum",), ("noisy",))
    assert graph.part is not None
    cut = cut_out(whole(), replace(graph, part=replace(graph.part, inputs={"z": "double"})))
    assert cut is not None and [one.name for one in cut.graph.input] == ["z", "eps"]
    onnx.checker.check_model(cut, full_check=True)
    session = onnxruntime.InferenceSession(cut.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["sum"], {"z": np.array([1], np.float32), "eps": np.array([5], np.float32)})
    assert found.tolist() == [6]
