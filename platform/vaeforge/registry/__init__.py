"""Which versions of a model exist, where each comes from, and which one is champion."""
