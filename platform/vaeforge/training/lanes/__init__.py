"""Lanes: several trainings of one shape as one stacked model, on one device."""
