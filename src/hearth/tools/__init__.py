"""What the model can do: one file a tool, its description in a .md beside it."""
