"""What a process needs from the machine and from other processes.

Belongs here: files, cores, signals, environment variables, the compilation cache, and the
communication of processes that train one run together. Does not: anything about runs or models.
"""
