"""Samplers, which propose the trials of a search: one file each (`SAMPLER`), found by `search/strategy_registry.py`."""
