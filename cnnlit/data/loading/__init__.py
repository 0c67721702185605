"""How images travel: decoding, order of presentation, data sets, threads."""
