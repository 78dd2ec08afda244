"""From the outbox to a sink."""
