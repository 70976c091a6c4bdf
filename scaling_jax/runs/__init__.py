"""The records of one run: its result, loss curve, progress, timing and profile.

Belongs here: files in a run's directory and reports of its progress, for any trainer.
Does not: checkpoints (`train`), and the states of a study's runs (`study.store`).
"""
