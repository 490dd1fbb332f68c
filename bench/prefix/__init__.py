"""How much of what was already read each agent makes the engine read again."""
