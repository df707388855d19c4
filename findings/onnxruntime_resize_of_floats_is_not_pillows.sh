#!/usr/bin/env bash
# onnxruntime 1.31.1: `Resize` with antialias=1, cubic, a = -0.5, exclude_outside=1 gives Pillow's bicubic resize for uint8,
# up to single levels at 1 value in 1,000, and for the same values as float32 does not: between the two passes Pillow
# rounds and clips to 0..255, and sums of floats do not. Seen on noise of 100 x 100 resized to 128: 0 levels for uint8, 17
# for float32 (rounded and clipped at the end), a quarter of all values apart. A graph that casts to float before it
# resizes, as exporters write it, is not the preprocessing that a model was trained with. Cast after `Resize`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.31.1 onnx==1.23.2 pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from PIL import Image

SIDE = 128


def resized(values, kind):
    how = {"mode": "cubic", "cubic_coeff_a": -0.5, "antialias": 1, "exclude_outside": 1}
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **how)
    inputs = [helper.make_tensor_value_info("x", kind, [1, 1, None, None])]
    outputs = [helper.make_tensor_value_info("y", kind, [1, 1, SIDE, SIDE])]
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 1, SIDE, SIDE])
    graph = helper.make_graph([node], "resize", inputs, outputs, [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": values[None, None]})
    return np.clip(np.round(y[0, 0].astype(np.float64)), 0, 255)


noise = np.random.default_rng(0).integers(0, 256, (100, 100)).astype(np.uint8)
pillow = np.asarray(Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(np.float64)
kinds = {"uint8": (np.uint8, TensorProto.UINT8), "float32": (np.float32, TensorProto.FLOAT)}
apart = {name: np.abs(resized(noise.astype(own), kind) - pillow) for name, (own, kind) in kinds.items()}
for name, levels in apart.items():
    print(name, "largest", levels.max(), "share of values that differ", float((levels > 0).mean()))
assert apart["uint8"].max() <= 1 and (apart["uint8"] > 0).mean() < 0.001
assert apart["float32"].max() > 5 and (apart["float32"] > 0).mean() > 0.1
PY
