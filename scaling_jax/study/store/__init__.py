"""A study's directory: every run's plan, state, lock, history and record.

Belongs here: whatever is read from or written to that directory about runs. Does not: training
them (`execution`), or the files that training one run writes (`runs`).
"""
