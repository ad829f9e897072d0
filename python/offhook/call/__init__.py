"""The B2BUA core: a call is a caller leg, a destination, one media session and a reason it ended."""
