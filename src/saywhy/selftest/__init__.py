"""Checks that ship because they are commands: every transformers class made tiny, and models with a planted rule."""
