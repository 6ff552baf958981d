"""The table: column families, the codecs of keys and cells with their inverses, table definitions and migrations.

May import: rowbox.mailbox. Must not know: who owns a row, what is cached, or how a client reached us. It is the only
place where a key or a cell is put together or taken apart; only applying and verifying a schema does I/O.
"""
