"""Rowbox: a per-user mailbox store for chat.

This package is only the import root. Its parts are the repository's top-level folders, linked in here, because the
standard library has a module `mailbox` that comes first on sys.path: a top-level package of that name would never be
imported from a console script. Every import therefore says `rowbox.mailbox`, `rowbox.cacheserver` and so on.
"""

__version__ = "0.1.0"
