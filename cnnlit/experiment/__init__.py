"""What commands do with a network: build it from settings, train it, test it, predict with it.

May import every room but analysis, reports and sweeps, and no command.
"""
