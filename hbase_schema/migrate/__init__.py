"""Makes the table in a cluster and brings it up to date, for `rowbox schema`."""
