"""The way of a push: from a message that nobody looked at to the devices of its recipient."""
