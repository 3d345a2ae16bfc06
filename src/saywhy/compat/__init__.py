"""Other libraries' names over saywhy: change the import, keep the code."""
