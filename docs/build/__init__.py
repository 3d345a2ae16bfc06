"""What writes the pages that follow from the code: methods, metrics, figures, executed tutorials, notebooks, the book."""
