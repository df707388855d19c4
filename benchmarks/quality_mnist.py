"""Does our loss, trained by our loop, come out where an independent implementation does? MNIST-5k, 784-400-20.

`Reference` below shares nothing with the platform: its own network, loss and loop in plain torch, after the VAE of
PyTorch's examples (Bernoulli on grey values, Adam 1e-3, batch 128, no clipping). Both see the same 4,000 training and
1,000 test images and take 4,690 steps, as ten epochs over 60,000 images would.
Units: nats per sample, rate + summed binary cross-entropy, z sampled 8 times on the test images.
"""

import time
from pathlib import Path

import torch
from quality_data import divided, mnist_5k
from quality_train import Figures, arrays, rounded, settle, spread, train
from torch import Tensor, nn
from torch.nn import functional

SEEDS = (0, 1, 2)
REPORTS, STEPS, BATCH, DRAWS = 10, 469, 128, 8  # 469 = 60,000 / 128 steps, rounded up: one published epoch
TEST_SHARE = 0.2
PUBLISHED = {"step 4,690, 60,000 training images (PyTorch examples)": 106.0}


class Reference(nn.Module):
    """784-400-20 as published."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.mu, self.logvar = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.back, self.out = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = functional.relu(self.hidden(x))
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return torch.sigmoid(self.out(functional.relu(self.back(z)))), mu, logvar


def reference_loss(x: Tensor, probabilities: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy and KL, each summed over the batch [B, 784]."""
    cross_entropy = functional.binary_cross_entropy(probabilities, x, reduction="sum")
    return cross_entropy, -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def reference_curve(x: Tensor, test: Tensor, seed: int, reports: int, steps: int) -> list[tuple[float, float]]:
    """Test cross-entropy and rate after every `steps` steps, `reports` times."""
    torch.manual_seed(seed)
    model, order, curve = Reference(), torch.empty(0, dtype=torch.long), []
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(1, reports * steps + 1):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(x))])
        batch, order = x[order[:BATCH]], order[BATCH:]
        optimizer.zero_grad()
        cross_entropy, rate = reference_loss(batch, *model(batch))
        ((cross_entropy + rate) / len(batch)).backward()
        optimizer.step()
        if step % steps == 0:
            with torch.no_grad():
                sums = [torch.stack(reference_loss(test, *model(test))) for _ in range(DRAWS)]
            curve.append(tuple((torch.stack(sums).mean(0) / len(test)).tolist()))
    return curve


def run(root: Path, quick: bool) -> Figures:
    """Our test loss and the reference's at the same steps."""
    data = mnist_5k(root)
    kept, held = divided(data.labels, TEST_SHARE, seed=0)
    images, seeds = arrays(data.images[kept], data.images[held]), SEEDS[:1] if quick else SEEDS
    steps, flat = (STEPS // 10 if quick else STEPS), torch.from_numpy(data.images.reshape(len(data.images), -1)) / 255.0
    ours, theirs, rates, seconds = [], [], [], {"ours": 0.0, "reference": 0.0}
    for seed in seeds:
        training = {"epochs": REPORTS, "steps_per_epoch": steps, "evaluation_samples": DRAWS, "seed": seed}
        trained = train(settle("mlp", {f"training.{key}": value for key, value in training.items()}), images)
        ours.append([epoch["val/nelbo_train_likelihood"] for epoch in trained.curve])
        started = time.monotonic()
        curve = reference_curve(flat[kept], flat[held], seed, REPORTS, steps)
        theirs.append([sum(point) for point in curve])
        rates.append((trained.curve[-1]["val/rate"], curve[-1][1]))
        seconds["ours"] += trained.seconds
        seconds["reference"] += time.monotonic() - started
        print(f"mnist: seed {seed}: ours {ours[-1][-1]:.2f}, reference {theirs[-1][-1]:.2f} nats", flush=True)
    return {
        "protocol": f"{len(kept)} training and {len(held)} test images of MNIST-5k, 784-400-20, Bernoulli on grey "
        f"values, Adam 1e-3, batch {BATCH}; test loss in nats with z sampled {DRAWS} times",
        "published": PUBLISHED,
        "seeds": list(seeds),
        "steps": [steps * report for report in range(1, REPORTS + 1)],
        **compared(ours, theirs),
        "rate_at_end": {name: spread([pair[i] for pair in rates]) for i, name in enumerate(("ours", "reference"))},
        "training_seconds": {name: rounded(value) for name, value in seconds.items()},
    }


def compared(ours: list[list[float]], theirs: list[list[float]]) -> Figures:
    """Both curves [seeds][reports]: means over seeds, their difference at each report, ends and bests."""
    curves = {"ours": torch.tensor(ours), "reference": torch.tensor(theirs)}
    means = {name: curve.mean(0) for name, curve in curves.items()}
    gap = means["ours"] - means["reference"]
    return {
        "test_loss": {name: [rounded(v) for v in mean.tolist()] for name, mean in means.items()},
        "difference": [rounded(v) for v in gap.tolist()],
        "largest_difference": rounded(float(gap.abs().max())),
        "mean_difference_per_seed": rounded(float((curves["ours"] - curves["reference"]).abs().mean())),
        "at_end": {name: spread(curve[:, -1].tolist()) for name, curve in curves.items()},
        "best": {name: spread(curve.min(1).values.tolist()) for name, curve in curves.items()},
    }
