"""A real HBase on this machine, for development and tests: `python3 -m deploy.hbase up` in the repository's root.

It uses the standard library only, and nothing of Rowbox, because it has to run before Rowbox is installed, and in a
container without it.
"""
