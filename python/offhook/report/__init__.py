"""The timeline of a call and what is made of it: the record, the ladder, the findings."""
