"""The `rowbox` command: one composition root for each kind of process, and the operator's verbs.

It may import everything, because the parts are put together here and files and environment are read here. It must not
hold a rule: what a command decides belongs into the part that it decides about. What stands here asks, calls and
prints.
"""
