"""Measurements, run by hand: `make bench`, `make bench-long`, `make bench-hbase`. No test depends on their numbers.

__main__    `make bench`: rates, waiting, cold
long        `make bench-long`: sizes, churn
hbase       `make bench-hbase`, with hbase_cluster and hbase_owner
run         what the first two share: the stores' folder, the output; document, part: where it goes, what it is made of

rates       closed loops in turns beside the ceilings, and sends at half the rate
waiting     parked polls (polls), wake-ups, a storm of reconnects with others looking on (probe)
cold        first fetches
sizes       the same fetches over 100 to 1,000,000 of everything
churn       memory over minutes

workload    the requests, byte for byte the same for every server
connection  one client's connection; `load` keeps so many of them busy, `open_loop` sends at a rate
fill        a store filled below HTTP
server      a server as a process of its own, its CPU and its memory; program: one that prints its figures
machine     what else the machine did meanwhile
measure     one server under one scenario: a Sample
report      samples to text; latency: percentiles; pictures/: SVG
ceilings/   what Rowbox is compared with: programs that know nothing of it
"""
