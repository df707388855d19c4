"""Faults injected into a real search, and what must hold after each of them."""
