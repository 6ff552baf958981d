"""API processes: children of the server that serve the HTTP API, and count with it as one server."""
