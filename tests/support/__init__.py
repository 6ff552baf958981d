"""What several layers of tests need: virtual time, processes that can be killed, a cluster of owners over one store."""
