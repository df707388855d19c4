"""Registry of models: their versions, where each comes from, and which one is champion."""
