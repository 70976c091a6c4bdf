"""Counts of parameters, FLOPs and bytes, and the chips they are compared with.

Belongs here: what follows from a `Shape` by arithmetic, and published figures of chips.
Does not: measurements of a compiled program (`aot`) or of a run (`runs`).
"""
