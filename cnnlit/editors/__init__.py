"""What editors are told of the configuration."""
