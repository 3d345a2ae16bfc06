"""`python -m saywhy` is the `saywhy` command."""

from saywhy.cli import main

if __name__ == "__main__":
    main()
