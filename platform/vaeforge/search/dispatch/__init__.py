"""Dispatch: which trial is trained by which worker group."""
