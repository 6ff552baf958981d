"""The `rowbox` command: one composition root for each kind of process, and the operator's verbs.

May import: everything; it is where the parts are put together and where files and environment are read. Must not
know: a rule. What a command decides belongs into the part it decides about; here stands only what is asked, called and
printed.
"""
