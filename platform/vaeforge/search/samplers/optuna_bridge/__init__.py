"""All that knows Optuna: studies built from trials, its samplers, and the journal of its dashboard."""
