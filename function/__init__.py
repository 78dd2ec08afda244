"""The relay as a function of AWS Lambda: its archive, and what is around it."""
