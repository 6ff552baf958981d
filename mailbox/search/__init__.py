"""What a search looks for: words of any writing system, and whether a text has them. Pure."""
