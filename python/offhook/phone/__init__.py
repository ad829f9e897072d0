"""The test phone: a caller in the terminal, for people who want to know how their call goes."""
