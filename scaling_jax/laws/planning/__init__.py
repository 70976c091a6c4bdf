"""Studies before they are paid for: simulation, known laws, the next runs."""
