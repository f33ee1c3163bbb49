"""What a person is shown: rows and templates as text for a terminal or as plain data for JSON.

Nothing here prints: every function returns a string or plain data.
"""
