#!/usr/bin/env bash
# torchmetrics 1.9.0: `StructuralSimilarityIndexMeasure()` without a `data_range` takes the range of each batch for the
# range of the data, so that the same pictures have another mean SSIM when they are batched otherwise. Seen: four pictures
# of different contrast in one update 0.9044, one at a time 0.8964. PeakSignalNoiseRatio of the same version refuses to
# start without a range. Say the range of the data (1.0 or 255), always.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import torch
from torchmetrics.image import StructuralSimilarityIndexMeasure

random = torch.Generator().manual_seed(0)
contrast = torch.tensor([0.2, 0.4, 0.6, 1.0]).view(4, 1, 1, 1)
pictures = torch.rand(4, 1, 32, 32, generator=random) * contrast
answers = pictures + 0.05 * torch.randn(4, 1, 32, 32, generator=random)


def mean(size: int, **options: float) -> float:
    metric = StructuralSimilarityIndexMeasure(**options)
    for start in range(0, 4, size):
        metric.update(answers[start : start + size], pictures[start : start + size])
    return metric.compute().item()


print(mean(4), mean(1), mean(4, data_range=1.0), mean(1, data_range=1.0))
assert abs(mean(4) - 0.9044) < 1e-3 and abs(mean(1) - 0.8964) < 1e-3
assert abs(mean(4, data_range=1.0) - mean(1, data_range=1.0)) < 1e-5
PY
