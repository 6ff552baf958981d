"""The core: clock, ids, the Mailbox aggregate (plan, then apply), delta and fence rules, errors, settings, wire format.

May import: the standard library's pure parts and msgspec; nothing else of Rowbox. Must not know: time, randomness, the
network, the disk or an event loop. Whatever happens outside reaches it as an argument, so that every rule can be tested
without waiting for anything. tests/house/test_layering.py fails on a breach.
"""
