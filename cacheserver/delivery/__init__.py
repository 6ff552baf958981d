"""The way of a message from its sender's row to its recipient's."""
