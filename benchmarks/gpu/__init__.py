"""What one GPU does: every measurement beside its peer in the same run, or in small on a CPU by the same code."""
