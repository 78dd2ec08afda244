"""Change events from MySQL and MariaDB: triggers, an outbox table and a relay."""

__version__ = "0.1.0"
