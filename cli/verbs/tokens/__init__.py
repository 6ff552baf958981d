"""The verbs below `rowbox token`."""
