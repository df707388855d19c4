"""Checks of what a search stands on: machine, environment, project, services; what is wrong, and what to do."""
