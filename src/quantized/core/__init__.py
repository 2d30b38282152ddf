"""The language of the house: what surfaces and providers say to each other. Imports nobody of ours."""
