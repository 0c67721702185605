"""What commands do with a network: build it from settings, train it, test it. Knows all rooms, and no command."""
