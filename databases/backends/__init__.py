"""One module per driver, all over `common`."""
