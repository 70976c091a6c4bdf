"""Where a study stands, what it costs, and what its design cannot tell."""
