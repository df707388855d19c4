#!/usr/bin/env bash
# torch 2.13.0: the first use of any optimizer imports torch's compiler (torch._dynamo, some 800 modules), although
# nothing is compiled: `add_param_group` and `zero_grad` import it in order to be left alone by it, and `step` in order
# to break its graph. For a process that trains a small model on a CPU that is most of its time until the first step,
# and tens of megabytes. The methods that are wrapped (`__wrapped__`) give the same weights without it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==2.13.0" "numpy==2.4.6"
cd "$folder"
cat > show.py <<'PY'
import resource
import sys
import time

import torch
from torch import nn
from torch.optim import Optimizer


class Plain(torch.optim.Adam):
    add_param_group = Optimizer.add_param_group.__wrapped__
    zero_grad = Optimizer.zero_grad.__wrapped__
    step = torch.no_grad()(torch.optim.Adam.step.__wrapped__)


torch.manual_seed(0)
model, kind = nn.Linear(8, 8), {"torch": torch.optim.Adam, "plain": Plain}[sys.argv[1]]
modules, began = len(sys.modules), time.process_time()
optimizer = kind(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    model(torch.ones(1, 8)).square().sum().backward()
    optimizer.step()
seconds, imported = time.process_time() - began, len(sys.modules) - modules
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{kind.__name__}: {imported} modules imported, {seconds:.2f} s of CPU, peak {peak:.0f} MB", file=sys.stderr)
print(imported > 300, "torch._dynamo" in sys.modules, float(model.weight.detach().sum()))
PY
theirs=$("$folder/venv/bin/python" show.py torch)
plain=$("$folder/venv/bin/python" show.py plain)
"$folder/venv/bin/python" -c 'import torch; print("torch", torch.__version__)'
[ "${theirs% *}" = "True True" ] && [ "${plain% *}" = "False False" ] && [ "${theirs##* }" = "${plain##* }" ] || {
  echo "behaviour changed: $theirs / $plain"
  exit 1
}
echo "the same weights: ${plain##* }"
