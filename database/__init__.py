"""Talking to a MySQL or MariaDB server: where it is, what it is, a connection."""
