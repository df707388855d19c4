"""Optuna, and all that knows it: studies built from trials, its samplers, and the journal of its dashboard."""
