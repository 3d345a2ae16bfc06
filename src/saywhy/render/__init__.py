"""Renderings: an explanation becomes text in a terminal (`terminal`), a page (`html`) or a picture (`figure`).

They share one scale of colours (`colors`) and the same words and numbers (`pieces`).
"""
