"""Training: one loop, its checkpoints, and Ray Train around it."""
