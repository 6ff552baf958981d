"""Measurements, run by hand: `make bench`. Nothing imports this package, and no test depends on its numbers.

__main__    the run: start everything, measure in turns, print, write docs/benchmarks.md
workload    the requests, byte for byte the same for every server
connection  one client's connection; `load` keeps so many of them busy
server      a server as a process of its own, and the CPU it used
machine     what else the machine did meanwhile
measure     one server under one scenario: a Sample
report      samples to text
ceilings/   what Rowbox is compared with: programs that know nothing of it
"""
