"""A minute with a model: which calls, which forms of edits and how much reasoning work with it, measured and kept."""
