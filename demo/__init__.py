"""All of evtrig on a throwaway server, for ``evtrig demo`` and for the tests."""
