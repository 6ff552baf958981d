"""Who owns what, as the store holds it."""
