"""Many texts: where they come from."""
