"""Splits done by several processes, which share nothing but the disk.

spec      what a process is told of the run, once
messages  what processes say to each other
work      the other process: does one split after another
pool      this process: hands out splits, and notices a process that dies
killers   which record kills the process that reads it
"""
