"""The daemon's HTTP face: who may ask, what is asked, and the way to the engine and back."""
