"""The engine: answers what methods and metrics ask, in as few calls of the model as they need."""
