"""The gallery's SQLite file: subjects, entries, settings and the log of changes."""
