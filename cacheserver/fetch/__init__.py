"""The way of a read: a page at once, or a wait and then a page."""
