"""The calls that a verb of the command makes to a running server, on its admin port."""
