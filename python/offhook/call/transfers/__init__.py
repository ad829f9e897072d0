"""A call goes on to somebody else: because its agent asks for it, or its other side."""
