"""The table: column families, the codecs of keys and cells with their inverses, table definitions and migrations.

It may import rowbox.mailbox. It must not know who owns a row, what is cached, or how a client reached the server. Keys
and cells are put together and taken apart here and nowhere else. Only making, verifying and examining a table does I/O.
"""
