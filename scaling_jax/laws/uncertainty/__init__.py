"""Intervals: bootstrap resamples and profile likelihood."""
