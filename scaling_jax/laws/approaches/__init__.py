"""The three approaches of Hoffmann et al. 2022 to the compute-optimal frontier.

Belongs here: how an approach gets from a table to a fit, and the test of laws on held-out compute.
Does not: the solver, resampling, or the notes that a fit carries (`diagnostics`).
"""
