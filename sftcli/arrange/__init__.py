"""Which rows are written, how often, in what order and on which side: splits, mixes, shuffles, repeats."""
