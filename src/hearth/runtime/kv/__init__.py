"""KV state on disk: what a conversation has once been read for is never computed again."""
