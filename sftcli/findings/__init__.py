"""Findings and how they are shown: to a person, to a program, and in CI.

finding   one broken rule at one place, and all that a run found
message   a finding's words, made safe and of a length that can be shown
formats   the formats by name, and those for programs: json, jsonl
text      for a person
github    annotations of GitHub Actions
junit     test reports, as Jenkins and GitLab read them
sarif     SARIF 2.1.0, as GitHub code scanning reads it
"""
