"""A trained model as ONNX graphs, and the proof that they compute what torch computes."""
