"""Predictions beyond the data, and intervals that hold the error of the law itself.

Belongs here: what is predicted past the largest fitted compute, and how far it can be trusted.
"""
