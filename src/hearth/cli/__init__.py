"""The commands that a person types; one file for each noun, imported when it is typed."""
