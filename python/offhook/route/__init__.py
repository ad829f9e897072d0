"""Where a call goes: pure functions over the loaded configuration."""
