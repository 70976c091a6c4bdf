"""What a study leaves on disk: runs, their states, records."""
