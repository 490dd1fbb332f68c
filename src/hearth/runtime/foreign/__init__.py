"""Engines that somebody else runs: they are met and asked, never started or ended."""
