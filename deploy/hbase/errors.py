"""The error of a cluster on one machine."""


class ClusterError(Exception):
    """The cluster cannot do what it was asked for. `str(error)` is one line for a person, with the way out."""
