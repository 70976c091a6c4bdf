"""A study looked at: where each run stands, what the study costs, what its design lacks.

Belongs here: whatever reads a plan or a store without changing it. Does not: training, or drawing
pages (`report`).
"""
