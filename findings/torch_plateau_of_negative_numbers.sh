#!/usr/bin/env bash
# torch 2.13.0: by default `ReduceLROnPlateau` never lowers the learning rate while the best number is negative. Its
# threshold of 1e-4 is relative: in mode "min" a number is better if it is below best * (1 - 1e-4), which for a negative
# best lies above it. So the same number a hundred times, and numbers that get worse by less than 1e-4 of the best a
# step, count as a hundred improvements. Seen on log-likelihoods of -25,000 nats; at +25,000 the rate falls nine times.
# Pass `threshold_mode="abs"`. A `state_dict` holds mode and threshold, so that resuming brings the relative one back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import torch


def rate_after(numbers, state=None, **options):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=10, **options)
    if state is not None:
        plateau.load_state_dict(state)
    for number in numbers:
        plateau.step(number)
    return optimizer.param_groups[0]["lr"], plateau.state_dict()


constant, worse = [-25_000.0] * 100, [-25_000.0 + epoch for epoch in range(100)]
found = {"negative": rate_after(constant)[0], "negative and worse": rate_after(worse)[0]}
found["positive"] = rate_after([25_000.0] * 100)[0]
absolute = {"threshold": 0.0, "threshold_mode": "abs"}
found["negative, absolute"] = rate_after(constant, **absolute)[0]
found["resumed as absolute from a relative state"] = rate_after(constant, rate_after(constant)[1], **absolute)[0]
print(found)
assert found["negative"] == found["negative and worse"] == 1e-3
assert found["positive"] == found["negative, absolute"] == 1e-3 / 2**9
assert found["resumed as absolute from a relative state"] == 1e-3
PY
