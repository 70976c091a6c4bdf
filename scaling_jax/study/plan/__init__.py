"""What a study is, before any of it is trained: recipe, design, rules, and the runs they give.

Belongs here: how runs are chosen and described. Does not: files, processes or JAX.
"""
