"""What the tests share: the drivers under test, their servers, tables and checks."""
