"""Typed header fields, one a file."""
