"""One call's work: the request, the pipeline from input to explanation, and how far to believe it."""
