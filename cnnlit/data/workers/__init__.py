"""Processes that make batches, and what becomes of them."""
