"""llama.cpp as an engine: how it is launched, in a process of its own, as a package or as a program of the owner's."""
