"""What every driver shares."""
