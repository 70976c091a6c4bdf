"""A JAX/TPU scaling-law testbed: plan, train, fit, predict and show."""
