"""Forecasts: predictions that are frozen before their runs are trained, and scored afterwards.

Belongs here: what a frozen prediction holds, and its comparison with measurements. The predictions
themselves come from `fitted`; the files of a study are written by `study`.
"""
