"""A page to touch, and the JSON behind it: `saywhy serve`, and the same client as a widget in notebooks."""
