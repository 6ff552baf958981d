"""Exhaustive searches of the ownership protocol (docs/consistency.md): every order of events, within stated bounds."""
