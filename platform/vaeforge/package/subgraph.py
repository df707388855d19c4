"""Parts of a converted graph: what some of its outputs depend on, as a graph of its own."""

import onnx

from vaeforge.package.graphs import Graph


def cut_out(whole: onnx.ModelProto, graph: Graph) -> onnx.ModelProto | None:
    """The part of `whole` that gives the outputs of `graph`; none if that needs inputs which `graph` does not have.

    A conversion may take the batch's size from any input of the whole.
    """
    assert graph.part is not None
    given = [graph.part.inputs.get(name, name) for name in graph.inputs]
    cut = onnx.utils.Extractor(whole).extract_model(given, list(graph.part.outputs))
    needed = {name for node in cut.graph.node for name in node.input} & {one.name for one in whole.graph.input}
    if not needed <= set(given):
        return None
    for old, new in zip((*given, *graph.part.outputs), (*graph.inputs, *graph.outputs), strict=True):
        if old != new:
            _rename(cut.graph, old, new)
    _forget_ends(cut.graph)
    return cut


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.name == old:
            value.name = new


def _forget_ends(graph: onnx.GraphProto) -> None:
    """Drop notes on inputs and outputs from among those on values in between."""
    ends = {value.name for value in (*graph.input, *graph.output)}
    between = [value for value in graph.value_info if value.name not in ends]
    del graph.value_info[:]
    graph.value_info.extend(between)
