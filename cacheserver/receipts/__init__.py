"""The way of receipts: from the row of a reader to those of the authors of what he read."""
