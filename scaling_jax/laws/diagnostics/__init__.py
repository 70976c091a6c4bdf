"""What the table and its residuals say about a fit."""
