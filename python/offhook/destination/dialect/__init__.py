"""Foreign agent protocols as data: the description for Rust, and their messages that are not audio."""
