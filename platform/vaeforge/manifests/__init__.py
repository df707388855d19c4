"""Manifests: what each step after training writes last into its folder, and what the next step starts from."""
