"""The verbs of a cluster: its nodes, its shards, its state."""
