"""Python's face of the native media core."""
