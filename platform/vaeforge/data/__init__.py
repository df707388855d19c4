"""Prepared data: from raw files under data/<family> to checked arrays."""
