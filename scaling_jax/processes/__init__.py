"""Processes: their cores, what they compile, the signals they get, how several act as one."""
