"""Graph of a whole picture: decoded pixels of any size in, what the main graph says of them out.

The steps are those of prepare, score and serve (`contract.PictureInput`), written as nodes before the main graph: grey
levels by black and white, RGB or grey, the square, the resize, the middle. Values go through `Resize` as uint8, as
Pillow resizes them: across first, then down, rounded after each; levels of 16 bits as floats, rounded after both.

Shapes: picture float32 [H, W, K], K 1 (grey) or 3 (RGB), of any range; range float32 [2], black and white, the values
that become 0 and the largest level; x float32 [1, C, S, S], 0 to 255.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vaeforge.data.images import COLOURS
from vaeforge.data.pixels import LUMA
from vaeforge.package.export import read_graph, write_graph
from vaeforge.samples import FINE

PICTURE = "picture"
RANGE = "range"
Fit = Literal["crop", "pad", "squash"]


@dataclass(frozen=True)
class Framing:
    """How a picture becomes the model's square.

    Attributes:
        fit: `crop` the centre square, `pad` to a square with the median of its border, or `squash` to it.
        side: of the resized square, pixels.
        centre: side of the middle that is kept of it.
        channels: 3, or 1 for grey.
        depth: bits of a level, 8 or 16.
    """

    fit: Fit
    side: int
    centre: int
    channels: int
    depth: int = 8

    @property
    def top(self) -> float:
        """The largest level."""
        return float(2**self.depth - 1)

    @property
    def kind(self) -> int:
        """The type of levels: float in 16 bits, since no `Resize` takes such integers."""
        return int(TensorProto.UINT8 if self.depth == 8 else TensorProto.FLOAT)


@dataclass
class _Nodes:
    """Nodes under way; their values have names of their own."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """The (first) output of a new node."""
        names = [f"{PICTURE}/{len(self.nodes)}/{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0]

    def constant(self, value: Any, kind: Any) -> str:
        """The name of a constant."""
        name = f"{PICTURE}/constant/{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=kind), name))
        return name

    def integer(self, *values: int) -> str:
        """Integers [n]."""
        return self.constant(values, np.int64)

    def cast(self, value: str, to: int) -> str:
        """`value` as another type."""
        return self.add("Cast", value, to=to)


def write_picture_graph(main: Path, path: Path, framing: Framing) -> None:
    """Write the graph at `main` to `path` with a picture for its input x, which becomes an output.

    Raises:
        RegistryError: if `main` cannot be read, or the result is not valid ONNX.
    """
    proto = read_graph(main)
    made = _Nodes()
    made.nodes.append(helper.make_node("Identity", [_sample(made, framing)], ["x"]))
    graph = proto.graph
    others = [value for value in graph.input if value.name != "x"]
    outputs, nodes = list(graph.output), list(graph.node)
    for value in (*others, *outputs):
        value.type.tensor_type.shape.dim[0].dim_value = 1  # one picture
    for name in ("input", "output", "node"):
        graph.ClearField(name)
    graph.input.extend(
        [
            helper.make_tensor_value_info(PICTURE, TensorProto.FLOAT, ["height", "width", "channels"]),
            helper.make_tensor_value_info(RANGE, TensorProto.FLOAT, [2]),
            *others,
        ]
    )
    shape = [1, framing.channels, framing.centre, framing.centre]
    graph.output.extend([*outputs, helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)])
    graph.node.extend([*made.nodes, *nodes])
    graph.initializer.extend(made.constants)
    graph.name = PICTURE
    write_graph(proto, path)


def _sample(made: _Nodes, framing: Framing) -> str:
    """x float32 [1, C, S, S] of the picture."""
    pixels = _planes(made, _levels(made, framing), framing)
    if framing.fit == "crop":
        square = _resized(made, _centre_square(made, pixels), made.integer(framing.side, framing.side), framing)
    elif framing.fit == "squash":
        square = _resized(made, pixels, made.integer(framing.side, framing.side), framing)
    else:
        square = _padded(made, pixels, framing)
    first = (framing.side - framing.centre) // 2
    if framing.centre < framing.side:
        square = _cut(made, square, made.integer(first, first), made.integer(*[first + framing.centre] * 2))
    x = made.cast(square, TensorProto.FLOAT)
    return x if framing.depth == 8 else made.add("Div", x, made.constant(FINE, np.float32))


def _levels(made: _Nodes, framing: Framing) -> str:
    """Levels double [H, W, K] from 0 to the largest, as `grey_levels.to_levels` has them."""
    values, ends = (made.cast(name, TensorProto.DOUBLE) for name in (PICTURE, RANGE))
    black, white = (made.add("Gather", ends, made.constant(place, np.int64)) for place in (0, 1))
    scale = made.add("Div", made.constant(framing.top, np.float64), made.add("Sub", white, black))
    levels = made.add("Round", made.add("Mul", made.add("Sub", values, black), scale))
    return made.add("Clip", levels, made.constant(0, np.float64), made.constant(framing.top, np.float64))


def _planes(made: _Nodes, levels: str, framing: Framing) -> str:
    """Levels [1, C, H, W], RGB or grey; grey pictures are RGB of one level."""
    shape = made.add("Concat", made.add("Shape", levels, end=2), made.integer(COLOURS), axis=0)
    colours = made.add("Transpose", made.add("Expand", levels, shape), perm=[2, 0, 1])
    if framing.channels == 1:
        weights = made.constant(np.array(LUMA)[:, None, None], np.float64)
        weighed = made.add("ReduceSum", made.add("Mul", colours, weights), made.integer(0), keepdims=1)
        half = made.add("Add", weighed, made.constant(2**15, np.float64))
        colours = made.add("Floor", made.add("Div", half, made.constant(2**16, np.float64)))
    return made.add("Unsqueeze", made.cast(colours, framing.kind), made.integer(0))


def _size(made: _Nodes, pixels: str) -> str:
    """Height and width [2]."""
    return made.add("Shape", pixels, start=2)


def _centre_square(made: _Nodes, pixels: str) -> str:
    size = _size(made, pixels)
    edge = made.add("ReduceMin", size, keepdims=1)
    start = made.add("Div", made.add("Sub", size, edge), made.integer(2))
    return _cut(made, pixels, start, made.add("Add", start, edge))


def _cut(made: _Nodes, pixels: str, start: str, end: str) -> str:
    return made.add("Slice", pixels, start, end, made.integer(2, 3))


def _resized(made: _Nodes, pixels: str, size: str, framing: Framing) -> str:
    """Pixels [1, C, H, W] in another `size` [2]; weights outside of the picture are left out, as Pillow does."""
    sizes = made.add("Concat", made.integer(1, framing.channels), size, axis=0)
    how: dict[str, Any] = {"mode": "cubic", "cubic_coeff_a": -0.5, "antialias": 1, "exclude_outside": 1}
    resized = made.add("Resize", pixels, "", "", sizes, coordinate_transformation_mode="half_pixel", **how)
    if framing.depth == 8:
        return resized
    ends = (made.constant(end, np.float32) for end in (0, framing.top))
    return made.add("Clip", made.add("Round", resized), *ends)


def _padded(made: _Nodes, pixels: str, framing: Framing) -> str:
    """The longer side scaled to `side`, the rest the median of the border; as `resize.fit_square`."""
    size = made.cast(_size(made, pixels), TensorProto.DOUBLE)
    scale = made.add("Div", made.constant(framing.side, np.float64), made.add("ReduceMax", size, keepdims=1))
    scaled = made.add("Max", made.add("Round", made.add("Mul", size, scale)), made.constant([1], np.float64))
    target = made.cast(scaled, TensorProto.INT64)
    room = made.add("Sub", made.integer(framing.side, framing.side), target)
    before = made.add("Div", room, made.integer(2))
    sides = [made.integer(0, 0), before, made.integer(0, 0), made.add("Sub", room, before)]
    pads = made.add("Concat", *sides, axis=0)
    return made.add("Pad", _resized(made, pixels, target, framing), pads, _border_median(made, pixels, framing))


def _border_median(made: _Nodes, pixels: str, framing: Framing) -> str:
    """The median level of the first and last row and column, []."""
    values = made.cast(pixels, TensorProto.FLOAT)
    ends = [made.constant(place, np.int64) for place in (0, -1)]
    lines = [made.add("Gather", values, end, axis=axis) for axis in (2, 3) for end in ends]
    flat = made.add("Concat", *(made.add("Reshape", line, made.integer(-1)) for line in lines), axis=0)
    count = made.add("Shape", flat)
    ordered = made.add("TopK", flat, count, outputs=2)
    upper = made.add("Div", count, made.integer(2))
    lower = made.add("Div", made.add("Sub", count, made.integer(1)), made.integer(2))
    middle = made.add("Gather", ordered, made.add("Concat", lower, upper, axis=0))
    median = made.add("Round", made.add("ReduceMean", middle, keepdims=0))
    return made.cast(median, framing.kind)
