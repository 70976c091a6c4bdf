"""Notes that a fit carries: what the table and the residuals say about how far to trust it.

Belongs here: a check that ends in a sentence with the number behind it. Does not: refusing a table
(`tables`), intervals (`uncertainty`), or a choice that follows from a fitted law (`decisions`).
"""
