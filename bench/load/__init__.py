"""Load generators: closed and open loops, and what they send."""
