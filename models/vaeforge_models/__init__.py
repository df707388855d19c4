"""The variational autoencoders themselves: torch and typed settings, nothing of Ray, MLflow, files or formats."""
