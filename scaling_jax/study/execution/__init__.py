"""Training the runs of a study: what is checked first, in which order, in which processes.

Belongs here: one loop that hands runs out, and the executors that train them. Does not: the
training of a single run (`train`), or the records of what became of it (`store`).
"""
