"""The talk page: a browser calls an agent by way of a real call, which the gateway places to itself."""
