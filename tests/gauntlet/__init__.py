"""The security gauntlet: a row for each class of published flaw in sessions, and for each item of the checklists.

Each row is one check, run on Holdall through its doors and on something that has the flaw: there it must fail, or it would
be no test. `pytest tests/gauntlet` ends with a line for each row and `N/N immune`, counted from what ran.

ids, fixation, ending, sealing, http, exhaustion: the flaws, by what they were about. checklist: OWASP. doors: how
requests come in. vulnerable: what has the flaws. row: what a row is.
"""
