"""The Responses API, stateful: what a later turn needs of this one is handed out to be stored."""
