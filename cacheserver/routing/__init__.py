"""The way of a request to the owner of its user, wherever that is: the router of a cluster's API."""
