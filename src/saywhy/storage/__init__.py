"""Files: written whole or not at all, read with a refusal in words, told apart by fingerprints."""
