"""Renderings: an explanation becomes text in a terminal, a page or a picture, with one theme and the same words."""
