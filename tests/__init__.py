"""Tests; also what several of them build from (tests.builders)."""
