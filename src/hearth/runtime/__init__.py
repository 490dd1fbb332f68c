"""Engines: what one is, how its process starts and ends, and who may use it when."""
