"""Evaluation of a trained model on data that it has not seen: metrics, intervals, baselines and figures."""
