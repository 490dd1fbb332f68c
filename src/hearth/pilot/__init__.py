"""The tiny model that ships with hearth: how its data is made, how it is trained, exported and evaluated."""
