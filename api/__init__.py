"""The stateless front of Rowbox: HTTP, long polls, authentication, rate-limit headers, metrics and the web pages.

It may import rowbox.mailbox, and of the cache server only rowbox.cacheserver.port. It must not know which node owns a
user, which store is used, or what a cell looks like. HTTP statuses stand in one table, api/http/problems.py, and in no
other top-level folder.
"""
