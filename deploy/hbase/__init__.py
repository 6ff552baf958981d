"""A real HBase on this machine, for development and tests: `python3 -m deploy.hbase up` in the repository's root.

Standard library only, and nothing of Rowbox: it has to run before anything of ours is installed, and in a container
that holds none of it.
"""
