"""From a spec to installed triggers."""
