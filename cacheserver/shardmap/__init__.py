"""Who owns what: the map of a cluster, and how the store holds it."""
