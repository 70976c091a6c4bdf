"""Counts of parameters, FLOPs and bytes, and the chips that they run on."""
