"""What takes long to be seen: cost against size, and memory over minutes."""
