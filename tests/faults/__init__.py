"""What must never happen: cancellation at every point, broken servers and networks, load."""
