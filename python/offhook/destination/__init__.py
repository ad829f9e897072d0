"""Where a call goes on: one kind a file behind one Protocol."""
