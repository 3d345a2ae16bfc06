"""Adapters: from whatever the caller has to one protocol, rows in and outputs out."""
