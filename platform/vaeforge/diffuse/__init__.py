"""Latent diffusion on top of a trained model: trained on its latents, kept beside it."""
