"""Test metrics by name: a module here with a METRIC, see `vaeforge.evaluation.metric`."""
