"""The store on HBase, through Thrift1 gateways."""
