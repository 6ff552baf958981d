"""One stored row as a mailbox: loading, claiming, cleaning, and the reads that decisions need."""
