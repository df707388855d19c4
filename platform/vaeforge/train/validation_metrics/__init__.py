"""Validation metrics by name: a module here with a METRIC, see `vaeforge.train.validation_metric`."""
