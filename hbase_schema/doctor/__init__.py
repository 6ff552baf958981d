"""The checks of `rowbox doctor` on a cluster."""
