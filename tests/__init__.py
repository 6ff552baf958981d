"""The tests, one folder for each layer (docs/testing.md names them, and how to run one).

May import: everything, always under the name `rowbox...`. Must not: sleep for real outside integration/, mock our own
code, or skip in CI because a tool is missing (tests.conftest.require makes that an error).
"""
