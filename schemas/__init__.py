"""The shared language: types, codes, settings, the database and its migrations."""
