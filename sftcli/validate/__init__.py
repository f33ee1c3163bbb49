"""The gate: judges raw data by the rules, and changes nothing.

validate    a whole run: all files
together    what the splits came to, put together in order
settings    which rules are on, and how much is too much
formats     file -> the judges of its records
one_split   split -> its findings
tally       what one split came to
judge       block of lines -> findings of the families J, R and C
suspects    which lines of a block are worth a closer look
content     text -> what is wrong with its characters and marks
secrets     private keys and API tokens in text
texts       record -> its texts with their places
place       a place in a text -> its column in the line
tokens      records -> findings of family T
repeats     what is there twice: family D
overlap     what another data set has too: family D
forked      many splits in several processes
fix         mends what is safe to mend
"""
