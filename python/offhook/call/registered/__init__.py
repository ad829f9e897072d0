"""Registration, both ways: with carriers that want it, and of phones with us."""
