"""Validation metrics by name: a module here with a METRIC, see `vaeforge.training.validation_metric`."""
