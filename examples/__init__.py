"""Programs that show `databases` at work; each runs on all six drivers."""
