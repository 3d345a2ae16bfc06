"""Other libraries' names over saywhy: code written for them runs with only its imports changed."""
