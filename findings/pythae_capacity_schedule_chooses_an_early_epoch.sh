#!/usr/bin/env bash
# pythae 0.1.2: the trainer keeps the epoch of the smallest evaluation loss and saves it as `final_model`. The loss of
# DisentangledBetaVAE is evaluated under the capacity of the epoch, which grows during the first 25, so that epochs are
# compared by different objectives: as soon as the capacity grows faster than the model's KL, later epochs look worse.
# With the default beta of 10 and capacity of 50 nats, and two latent dimensions, 30 epochs on the digits leave the model
# of the first epoch, which reconstructs no better than the mean of all digits does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==2.13.0" "pythae==0.1.2"
cd "$folder"
cat > show.py <<'PY'
import copy

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import DisentangledBetaVAE, DisentangledBetaVAEConfig
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from sklearn.datasets import load_digits

torch.manual_seed(0)
digits = torch.tensor(load_digits().data / 16, dtype=torch.float32)
train, held_out = (BaseDataset(part, torch.zeros(len(part))) for part in (digits[:1500], digits[1500:]))
model = DisentangledBetaVAE(DisentangledBetaVAEConfig(input_dim=(64,), latent_dim=2))
settings = BaseTrainerConfig(output_dir="out", num_epochs=30, per_device_train_batch_size=64, learning_rate=1e-3)
epochs = []


class Keep(TrainingCallback):
    """Keeps the weights of each epoch, to find the saved ones among them."""

    def on_epoch_end(self, training_config, **kwargs):
        epochs.append(copy.deepcopy(trainer.model.state_dict()))


trainer = BaseTrainer(model, train, held_out, settings, callbacks=[Keep()])
trainer.train()


def error(weights):
    model.load_state_dict(weights)
    with torch.no_grad():
        return float((model.eval().reconstruct(held_out.data) - held_out.data).square().sum(1).mean())


kept = trainer._best_model.state_dict()
name = next(iter(kept))
(chosen,) = (number for number, one in enumerate(epochs, 1) if torch.equal(one[name], kept[name]))
mean = float((train.data.mean(0) - held_out.data).square().sum(1).mean())
errors = error(kept), error(epochs[-1])
told = f"squared error {errors[0]:.2f}, of the last one {errors[1]:.2f}, of the mean digit {mean:.2f}"
print(f"epoch {chosen} of {len(epochs)} is kept: {told}")
assert chosen == 1 and errors[0] > 0.95 * mean > 1.05 * errors[1], (chosen, errors, mean)
PY
venv/bin/python show.py 2>/dev/null
