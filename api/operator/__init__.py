"""The operator's door: what a verb asks of a running server."""
