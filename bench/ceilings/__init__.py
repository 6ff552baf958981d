"""The ceilings that Rowbox is compared with: short programs that import nothing of Rowbox and know only sizes.

A ceiling is started as `python -m bench.ceilings.NAME JSON`. One that is a server prints where it listens when it is
ready, and ends with SIGTERM.
"""
