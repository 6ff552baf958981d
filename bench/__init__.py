"""Measurements, run by hand: `make bench`, `make bench-long`, `make bench-hbase`. No test depends on their numbers.

__main__    `make bench`: rates, waiting, cold
long        `make bench-long`: sizes, churn
hbase/      `make bench-hbase`: a real HBase (cluster), and an owner over it without HTTP (owner)
run         what `make bench` and `make bench-long` share: the folder of the stores, the output, the document

rates       closed loops in turns beside the ceilings, and sends at half the rate
waiting     parked polls, wake-ups, a storm of reconnects
cold        first fetches of mailboxes that are not in memory
sizes       the same fetches over 100 to 1,000,000 messages, conversations or mailboxes
churn       memory over minutes

links/      `python -m bench.links`: an owner behind a link, beside one process
load/       load generators: the closed loop, the open loop, parked polls, and the requests that they send
cells       the cells of one send, for ceilings that commit the same bytes
fill        fills a store below HTTP
server      a server as a process of its own, its CPU and its memory
program     a program that measures by itself and prints its figures
machine     what the machine is, and how busy it is
measure     one server under one scenario for a few seconds: a Sample
output/     samples as text, and the document that keeps it
pictures/   samples as SVG
ceilings/   programs that Rowbox is compared with, and that know nothing of it
"""
