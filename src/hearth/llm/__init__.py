"""The model as the agent sees it: one dialect over HTTP, and what is known of each family."""
