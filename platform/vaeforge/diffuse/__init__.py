"""Latent diffusion on top of a winner: trained on its latents, kept beside it."""
