"""What a study trains: recipe, design, rules, sweeps."""
