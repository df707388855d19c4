"""Watching a search from another terminal, by its ledger alone."""
