"""What every request goes through, from the port to the handler."""
