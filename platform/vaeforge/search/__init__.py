"""The search engine: Ray Tune decides, Optuna proposes, warm Ray Train hosts train."""
