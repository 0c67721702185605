"""What is drawn or measured beside the loop."""
