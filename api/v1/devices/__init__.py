"""The calls about the devices of a user."""
