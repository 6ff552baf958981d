"""One call: a request becomes a typed answer or a typed error, and is made again where it may succeed later."""
