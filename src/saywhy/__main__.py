"""`python -m saywhy` is the `saywhy` command."""

from .cli.app import main

if __name__ == "__main__":
    main()
