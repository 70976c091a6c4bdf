"""Files, cores, signals, compiled programs on disk, and several processes that act as one."""
