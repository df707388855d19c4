"""Conversion to fp16: products are computed in float16, and everything around them as before.

The converters that exist cast a graph's inputs to float16 before anything else, also where the first nodes are kept in
float32. Raw values may be beyond float16's range, or closer together than it can tell (a voxel of 10,000 that varies by
3), so that nothing is halved here that lies before the first or after the last product.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
FIRST_ONLY = {"Resize"}  # its scales are float32 by definition
HALF = "_fp16"


def to_fp16(proto: onnx.ModelProto) -> onnx.ModelProto:
    """`proto` with float16 from its first to its last product; inputs, outputs and what is computed stay the same."""
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    for number, node in enumerate(result.graph.node):
        node.name = f"{node.op_type}_{number}"
    _Halving(result).run()
    return result


def between_products(nodes: list[Any]) -> set[str]:
    """The names of the products, and of all nodes that lie on a way from one product to another."""
    after, before = _reached(nodes, forwards=True), _reached(nodes[::-1], forwards=False)
    return {node.name for node in nodes if node.op_type in PRODUCTS} | (after & before)


def _reached(nodes: list[Any], forwards: bool) -> set[str]:
    """The names of the nodes that a product leads to, or that lead to one; `nodes` are in the order of the walk."""
    values: set[str] = set()
    names: set[str] = set()
    for node in nodes:
        near, far = (node.input, node.output) if forwards else (node.output, node.input)
        if values.intersection(near):
            names.add(node.name)
        if node.name in names or node.op_type in PRODUCTS:
            values.update(name for name in far if name)
    return names


class _Halving:
    """One pass over the nodes in order; casts stand where a value is first needed in the other type."""

    def __init__(self, proto: onnx.ModelProto):
        self.graph = proto.graph
        self.inner = between_products(list(self.graph.node))
        self.weights = {one.name: one for one in self.graph.initializer}
        self.floats = {one.name for one in self.graph.initializer if one.data_type == TensorProto.FLOAT}
        inferred = onnx.shape_inference.infer_shapes(proto).graph
        for value in (*inferred.input, *inferred.output, *inferred.value_info):
            if value.type.tensor_type.elem_type == TensorProto.FLOAT:
                self.floats.add(value.name)
        self.halves: set[str] = set()  # values of which there is a float16 version
        self.missing: set[str] = set()  # values of which there is no other so far
        self.nodes: list[Any] = []

    def run(self) -> None:
        for node in self.graph.node:
            if node.name in self.inner:
                self._halve(node)
            else:
                self._need_full(node.input)
                self.nodes.append(node)
        self._need_full([value.name for value in self.graph.output])
        used = {name for node in self.nodes for name in node.input}
        kept = [one for one in self.graph.initializer if one.name in used]
        nodes = [_copied(node) for node in self.nodes]
        weights = [_copied(one) for one in kept]
        for field, content in (("node", nodes), ("initializer", weights), ("value_info", [])):
            self.graph.ClearField(field)
            getattr(self.graph, field).extend(content)

    def _halve(self, node: Any) -> None:
        for place, name in enumerate(node.input):
            if name in self.floats and not (node.op_type in FIRST_ONLY and place):
                node.input[place] = self._half(name)
        self._need_full(name for name in node.input)
        for place, name in enumerate(node.output):
            if name in self.floats:
                node.output[place] = name + HALF
                self.halves.add(name)
                self.missing.add(name)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
        self.nodes.append(node)

    def _half(self, name: str) -> str:
        """The float16 version of a value, made if there is none."""
        if name not in self.halves:
            self.halves.add(name)
            if name in self.weights:
                values = _within_range(numpy_helper.to_array(self.weights[name]))
                self.graph.initializer.append(numpy_helper.from_array(values, name + HALF))
            else:
                self.nodes.append(helper.make_node("Cast", [name], [name + HALF], to=TensorProto.FLOAT16))
        return name + HALF

    def _need_full(self, names: Any) -> None:
        """Make float32 versions of values that have none."""
        for name in names:
            if name in self.missing:
                self.missing.remove(name)
                self.nodes.append(helper.make_node("Cast", [name + HALF], [name], to=TensorProto.FLOAT))


def _within_range(values: Any) -> Any:
    """float16, with what is too large for it at its largest instead of infinite: limits of a clamp, say."""
    limit = float(np.finfo(np.float16).max)
    return np.clip(values, -limit, limit).astype(np.float16)


def _copied(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
