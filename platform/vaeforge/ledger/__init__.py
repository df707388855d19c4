"""Append-only record of a search: its events, its file, and the history that it tells."""
