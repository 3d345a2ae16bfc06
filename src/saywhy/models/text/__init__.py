"""A Hugging Face text model and its tokenizer: ids, or embeddings in their place, to logits."""
