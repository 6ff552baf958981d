"""The HTTP API over every way in which Rowbox is run: the same requests get the same answers."""
