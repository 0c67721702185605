"""Images at addresses: object stores and the web, read by ranges, ahead of time, and kept as far as there is room."""
