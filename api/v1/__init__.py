"""The calls of the API, their types, and the document that describes them."""
