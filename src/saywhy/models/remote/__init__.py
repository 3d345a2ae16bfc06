"""Language models behind a server: what they can be asked, and how it is asked with few requests."""
