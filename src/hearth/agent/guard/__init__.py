"""Watches a turn for circles: pure detectors over its calls, a ladder of answers, and the watch that joins them."""
