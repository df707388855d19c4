#!/usr/bin/env bash
# torchmetrics 1.9.0: `BinaryAUROC` and `BinaryAveragePrecision` take anomaly scores for logits as soon as one of a batch
# lies outside 0 .. 1, and put that batch through a sigmoid. Two consequences, neither of which warns. Seen: (1) scores of
# 20, 30 (normal), 40 and 50 (anomalous) separate perfectly, but the sigmoid makes all of them 1.0: AUROC 0.5. (2) Whether
# a batch is transformed depends on that batch alone: 0.60, 0.90 and 1.00, 1.20 separate perfectly in one update (AUROC
# 1.0); in two, the second batch alone goes through the sigmoid and falls among the first: 0.5. Reconstruction errors and
# negative log-likelihoods need another implementation (scikit-learn's), or ranks in 0 .. 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import torch
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

labels = torch.tensor([0, 0, 1, 1])
large = torch.tensor([20.0, 30.0, 40.0, 50.0])
raw, scaled = BinaryAUROC()(large, labels).item(), BinaryAUROC()(large / 50, labels).item()
precision = BinaryAveragePrecision()(large, labels).item()
scores = torch.tensor([0.60, 0.90, 1.00, 1.20])
whole, halves = BinaryAUROC(), BinaryAUROC()
whole.update(scores, labels)
halves.update(scores[:2], labels[:2])
halves.update(scores[2:], labels[2:])
print(raw, scaled, precision, whole.compute().item(), halves.compute().item())
assert (raw, scaled, precision) == (0.5, 1.0, 0.5)
assert (whole.compute().item(), halves.compute().item()) == (1.0, 0.5)
PY
