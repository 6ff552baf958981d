"""`python -m bench.hbase`: Rowbox over a real HBase."""
