"""The stateless front: HTTP, WebSocket, long poll, authentication, limits, metrics and the web page.

May import: rowbox.mailbox, and of the cache server only rowbox.cacheserver.port. Must not know: which node owns a user,
which store is used, or what a cell looks like. HTTP statuses stand here, in one table, and nowhere below.
"""
