"""Speed, side by side with other code and against targets: python -m benchmarks."""
