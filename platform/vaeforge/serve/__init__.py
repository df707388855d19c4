"""Serving of a packaged model over HTTP, and drift of its inputs against the validation samples."""
