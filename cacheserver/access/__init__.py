"""Whose tokens an owner refuses."""
