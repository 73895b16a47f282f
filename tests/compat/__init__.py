"""What programs written for databases 0.9.0 rely on, one test for each thing."""
