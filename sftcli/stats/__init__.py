"""stats: what a data set is like, from raw data or from what was written.

measure    source    -> Measured     one pass; counts by value, never a number per row
figures    Measured  -> Figures      what is printed, and what `--json` holds
text, plot Figures   -> a page, a picture
"""
