"""Tracking: a search's ledger, replayed into MLflow."""
