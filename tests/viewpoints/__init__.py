"""Tests of stages.viewpoints."""
