"""The configuration file: typed, validated whole, every error with path, line and hint."""
