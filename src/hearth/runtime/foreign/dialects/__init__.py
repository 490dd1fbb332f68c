"""What engines of others speak, translated from and to llama-server's chat completions. Pure: bytes in, bytes out."""
