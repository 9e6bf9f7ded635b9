"""Old prompts and saved graphs, read as they were meant."""
