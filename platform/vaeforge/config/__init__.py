"""Typed configuration: its tree, its files, and how they are read."""
