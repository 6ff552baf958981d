"""The owner of mailboxes: ownership, per-user lock, cache, commit pipeline, delivery, store ports and their adapters.

May import: rowbox.mailbox and rowbox.hbase_schema. Must not know: HTTP, access tokens, or how an answer is worded. What
differs between stores stays in stores/: no RocksDB, Thrift or Redis exception leaves its adapter. The API reaches this
package through rowbox.cacheserver.port and nothing else.
"""
