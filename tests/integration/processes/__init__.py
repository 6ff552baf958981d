"""A server with API processes: what becomes of it when one of its processes, or all, end."""
