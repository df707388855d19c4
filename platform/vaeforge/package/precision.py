"""Conversion of the main graph to smaller precisions; inputs and outputs stay float32.

fp16: weights and arithmetic from the first to the last product (convolution or matrix) are float16; see `fp16`.

int8: the weights of dense layers are 8-bit integers, one scale per output, and so is what goes into them, with a range
taken anew from each batch; convolutions stay float32. On digits and on speckle, quantised convolutions and ranges fixed
beforehand moved latents by a tenth of their range, these by less than 1 %, and large nets have most of their weights
there. A sample's answer depends a little on the batch that it comes in.
A network without dense layers is quantised statically: the ranges of what goes into its convolutions are those seen
over at most 128 training samples (the smallest and the largest value), and inputs beyond them are cut off.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static

from vaeforge.errors import ConfigError, RegistryError, nearest
from vaeforge.package.export import LARGEST, read_graph, weight_bytes, write_graph
from vaeforge.package.fp16 import to_fp16
from vaeforge.package.parity_inputs import subsample_evenly
from vaeforge.samples import Samples
from vaeforge.training.batches import centre_crop

PRECISIONS = ("fp32", "fp16", "int8")
FULL = PRECISIONS[0]
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.1}  # of an output's range; see `parity`
DENSE, CONVOLUTIONS = ["Gemm", "MatMul"], ["Conv"]
CALIBRATION_SAMPLES = 128
CALIBRATION_BATCH = 16


def ordered_precisions(names: Iterable[str]) -> tuple[str, ...]:
    """`names` in the order of `PRECISIONS`, each once; fp32 is always the first.

    Raises:
        ConfigError: if one is no precision.
    """
    given = tuple(names)
    for name in given:
        if name not in PRECISIONS:
            allowed = ", ".join(PRECISIONS)
            raise ConfigError(f"--precision: got {name!r}, must be one or more of {allowed}{nearest(name, PRECISIONS)}")
    return tuple(name for name in PRECISIONS if name in (FULL, *given))


def convert(source: Path, target: Path, precision: str, train: Samples, event_shape: tuple[int, ...]) -> None:
    """Write the graph at `source` to `target` in `precision`, fp16 or int8.

    Args:
        source: the main graph, fp32.
        target: where the new one goes.
        precision: fp16 or int8.
        train: what int8 is calibrated on; images may have room for crops, their centre is taken.
        event_shape: of one sample.

    Raises:
        RegistryError: if the weights are too large for one file, which these conversions do not know.
    """
    proto = read_graph(source)
    if weight_bytes(proto) > LARGEST:
        raise RegistryError(f"{source}: weights of more than 2 GB cannot be made {precision}; export fp32 alone")
    with _quiet():
        converted = to_fp16(proto) if precision == "fp16" else _quantised(proto, train, event_shape)
    converted.producer_name, converted.producer_version = proto.producer_name, proto.producer_version
    described = {one.key: one.value for one in proto.metadata_props}
    onnx.helper.set_model_props(converted, {**described, "precision": precision})
    write_graph(converted, target)


def _quantised(proto: onnx.ModelProto, train: Samples, event_shape: tuple[int, ...]) -> onnx.ModelProto:
    dense = any(node.op_type in DENSE for node in proto.graph.node)
    with tempfile.TemporaryDirectory() as folder:
        plain, target = Path(folder) / "plain.onnx", Path(folder) / "quantised.onnx"
        onnx.save_model(_without_shapes(proto), str(plain))
        # processors without VNNI add products of 8-bit weights in 16 bits, which overflow; those of 7 bits fit, and a
        # graph answers alike wherever it is served
        common: dict[str, Any] = {"per_channel": True, "weight_type": QuantType.QInt8, "reduce_range": True}
        if dense:
            quantize_dynamic(str(plain), str(target), op_types_to_quantize=DENSE, **common)
        else:
            with_condition = any(value.name == "condition" for value in proto.graph.input)
            reader = Calibration(subsample_evenly(train, CALIBRATION_SAMPLES), event_shape, with_condition)
            quantize_static(str(plain), str(target), reader, op_types_to_quantize=CONVOLUTIONS, **common)
        return onnx.load(str(target))


def _without_shapes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Without the shapes of what is inside: the quantiser turns weights round and would find them contradicted."""
    plain = onnx.ModelProto()
    plain.CopyFrom(proto)
    plain.graph.ClearField("value_info")
    return plain


class Calibration:
    """Training samples as the inputs of the main graph, a few at a time."""

    def __init__(self, samples: Samples, event_shape: tuple[int, ...], with_condition: bool):
        self.batches = iter(samples.batches(CALIBRATION_BATCH))
        self.event_shape, self.with_condition = event_shape, with_condition

    def get_next(self) -> dict[str, Any] | None:
        """The next batch by input names, none at the end."""
        found = next(self.batches, None)
        if found is None:
            return None
        raw, condition = found
        image = raw.shape[1:] != self.event_shape
        x = (centre_crop(raw, self.event_shape) if image else raw).float().numpy()
        return {"x": x, "condition": condition.numpy()} if self.with_condition else {"x": x}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice, logged as a warning, to simplify the graph first: the exporter has done that."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)
