"""What a link between processes costs: an owner, the API in front of it, and one process that is both, in turns."""
