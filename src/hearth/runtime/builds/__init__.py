"""Builds of the engine beside the one in the package: which fit this machine, how they get here, which is in use."""
