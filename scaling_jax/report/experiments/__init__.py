"""Figures and printed tables of single experiments; each file serves one file of `experiments/`."""
