"""Models on this machine: which there are, and whether a file is whole."""
