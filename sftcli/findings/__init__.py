"""Findings and how they are shown: to a person, to a program, and in CI."""
