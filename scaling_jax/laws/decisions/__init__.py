"""What a fitted law is read for: sizes, horizons, serving, cost."""
