"""What survives a restart, behind one small interface."""
