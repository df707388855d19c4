"""vaeforge: distributed hyperparameter search and model registry for variational autoencoders."""

__version__ = "0.1.0"
