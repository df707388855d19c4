"""Search spaces: what is searched, towards what, by which strategies."""
