"""Hugging Face image classifiers: pixels to logits."""
