"""A user's own files become a checked data set under data/<family>."""
