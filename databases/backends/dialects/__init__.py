"""SQLAlchemy dialects, made ready for the drivers."""
