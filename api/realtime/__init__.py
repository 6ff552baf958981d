"""Changes as they happen: the WebSocket and the event stream. What a session decides is pure; the rest carries it."""
