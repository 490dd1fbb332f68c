"""Tools for models that were never taught any: described in the system text, called in plain text, answered as text.

The model writes fenced blocks with raw values (code in JSON strings costs quality: see ``docs/dialects.md``) and, for
changes, SEARCH/REPLACE blocks.
"""
