"""What clients cost that are told of changes as they happen (`make bench-live`)."""
