"""A small web service: notes, accounts, and transfers under one decorator."""
