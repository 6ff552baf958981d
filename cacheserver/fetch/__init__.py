"""The way of a fetch: a page at once, or a wait for news and then a page."""
