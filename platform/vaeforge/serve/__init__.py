"""Answering over HTTP with a packaged model, and saying whether what is asked still resembles what it was made for."""
