"""HBase's Thrift interfaces: the one class of connections, both interfaces, and what a gateway speaks."""
