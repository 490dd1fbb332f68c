"""The agent: a session with a model that works on a project with tools."""
