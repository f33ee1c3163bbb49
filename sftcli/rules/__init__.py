"""The rules: what `validate` and `verify` judge by, and what `prepare` counts."""
