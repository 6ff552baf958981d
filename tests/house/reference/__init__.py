"""What the code says of itself, as the pages of docs/reference say it.

Each module makes the parts of one page. `make docs` writes them into the pages (`__main__.py`), and the tests fail
where a page and the code differ.
"""
