"""Studies before they are paid for: simulations by a known law, and the choice of the next runs.

Belongs here: what a design would teach, from known laws, noise and linearized fits. Does not: the
designs themselves or training (`study`), and the fit of real tables (`fitting`).
"""
