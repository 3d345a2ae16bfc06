"""What every room shares and imports nothing of ours: errors, the nouns, explanations, segmentation, progress."""
