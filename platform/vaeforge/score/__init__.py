"""Scoring of many items with a packaged model: onnxruntime and numpy, no torch."""
