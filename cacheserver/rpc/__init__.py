"""Calls between processes: one link for each ordered pair, many calls on it at once (docs/adr/0045-links.md)."""
