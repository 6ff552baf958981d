"""HBase's Thrift interfaces: one connection, both protocols, and what a gateway speaks."""
