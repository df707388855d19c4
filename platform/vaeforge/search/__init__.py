"""The search engine: Ray Tune runs the trials, samplers propose them, warm Ray Train worker groups train them."""
