"""Fetching models: what the hub has, and its files whole and verified on this disk."""
