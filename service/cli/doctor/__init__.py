"""`doctor`: asks everything that the service leans on, and says what to do."""
