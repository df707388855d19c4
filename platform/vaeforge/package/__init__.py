"""Packaging of a trained model: ONNX graphs, and the check that they compute what torch computes."""
