"""Labels of axes and columns: the same words and units in every figure."""

NELBO = "val/nelbo (nats per sample)"
RATE = "rate (nats per sample)"
DISTORTION = "distortion (nats per sample)"
ACTIVE = "active units (count)"
BETA = "full β (weight of the rate)"
LATENT = "latent size (dimensions)"
EPOCH = "epoch"
TRIAL = "trial (number)"
STATES = {
    "completed": "trained fully",
    "early_stopped": "ended early, no more progress",
    "stopped": "stopped by the scheduler",
    "failed": "failed",
    "running": "not ended",
}
