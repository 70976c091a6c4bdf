"""The optimum of a robust fit: Newton descents from many starts."""
