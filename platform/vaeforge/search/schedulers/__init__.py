"""Schedulers as pure decisions: one file each (`SCHEDULER`), found by `search/strategy_registry.py`."""
