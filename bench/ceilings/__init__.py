"""What Rowbox is compared with. Each is one short program that imports nothing of Rowbox and knows only sizes.

Started as `python -m bench.ceilings.NAME JSON`; prints where it listens when it is ready, ends with SIGTERM.
"""
