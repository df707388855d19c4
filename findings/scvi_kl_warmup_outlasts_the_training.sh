#!/usr/bin/env bash
# scvi-tools 1.4.2: the KL term is warmed up over 400 epochs, whatever the length of the training, which by default is
# 400 epochs up to 20,000 cells and shorter in proportion beyond. So the default training of 200,000 cells, 40 epochs,
# ends with the KL term at a tenth of its weight: a beta-VAE of beta 0.1, and the more data, the smaller. No warning is
# given. `plan_kwargs={"n_epochs_kl_warmup": 20}` warms up within the training.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==2.13.0" "scvi-tools==1.4.2" \
  "lightning==2.6.0"
cd "$folder"
cat > show.py <<'PY'
import anndata
import numpy as np
import scvi

CELLS = 200_000
counts = np.random.default_rng(0).poisson(2.0, (CELLS, 4)).astype(np.float32)
cells = anndata.AnnData(counts)
scvi.model.SCVI.setup_anndata(cells)
model = scvi.model.SCVI(cells, n_hidden=8, n_latent=2)
model.train(batch_size=8192, accelerator="cpu", enable_progress_bar=False)
weights = model.history["kl_weight"]["kl_weight"].astype(float)
print(f"{CELLS:,} cells: {len(weights)} epochs, weight of the KL term in the last one {weights.iloc[-1]:.3f}")
assert len(weights) == 40 and 0.09 < weights.iloc[-1] < 0.11, weights
PY
venv/bin/python show.py 2>/dev/null
