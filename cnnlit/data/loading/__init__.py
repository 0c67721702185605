"""Loading images: decoding, order of presentation, data sets, threads."""
