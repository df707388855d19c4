"""Test metrics by name: a module here with a METRIC, see `vaeforge.evaluate.metric`."""
