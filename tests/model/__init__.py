"""Exhaustive searches of the ownership protocol (design section 5): every order of events, within stated bounds."""
