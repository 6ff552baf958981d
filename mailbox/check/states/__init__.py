"""The invariants of single states of a row: what of each of them can be wrong by itself. Pure."""
