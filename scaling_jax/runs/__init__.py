"""What a run leaves in its directory and says while it goes on; how it is looked after."""
