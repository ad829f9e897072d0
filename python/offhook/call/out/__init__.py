"""Calls out: whom the gate lets be called, by which trunk and address, who answers, and what came of it."""
