"""Decisions that follow from a fitted law: sizes, horizons, repeats, serving, recipes, cost.

Belongs here: closed forms and first-order conditions on a loss surface, at the point and at every
draw. Does not: fitting a law, or choosing which run to train next (`planning`).
"""
