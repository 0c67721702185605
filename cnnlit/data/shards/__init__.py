"""Shards: images in a few large tar or parquet files, here or in an object store, each found by an index."""
