"""A server among the other servers of its cluster."""
