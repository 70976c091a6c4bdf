"""Tables of losses: read, checked, and the rows that a fit uses."""
