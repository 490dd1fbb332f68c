"""Watches over engines while requests wait for them: what is slow is told from what is stuck."""
