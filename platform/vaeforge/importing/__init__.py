"""Import of users' own files: a checked data set under data/<family>."""
