"""Making and bringing up to date what lies in a cluster: `rowbox schema`."""
