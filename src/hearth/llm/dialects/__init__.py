"""Other ways to speak with a model than OpenAI chat: Harmony over raw completion, and plain text."""
