"""Language models: prompts to the log-probabilities of continuations."""
