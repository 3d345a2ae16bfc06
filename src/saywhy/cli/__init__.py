"""The `saywhy` command, one file a subcommand; each imports what does the work when it runs."""
