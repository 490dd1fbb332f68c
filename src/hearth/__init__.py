"""hearth: a private coding agent, the gateway it talks to and the runtime that runs the model."""

__version__ = "0.1.0"
