"""The explainers by the places that transformers-interpret keeps them in."""
