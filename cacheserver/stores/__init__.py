"""The store port, what every store keeps beside mail, and how a store that does not answer is noticed.

The stores are the rooms below.
"""
