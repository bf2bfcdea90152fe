"""Networks (torch): one file, one family, references on top. Importing this package imports no torch; its files do."""
