"""Recordings of calls: files that appear whole, encrypted where a key is given, and go when their time is over."""
