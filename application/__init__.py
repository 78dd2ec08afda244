"""What an application calls: it needs no more than the standard library."""
