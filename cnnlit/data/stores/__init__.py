"""Prepared images: decoded and resized once, kept in shards that are mapped into memory."""
