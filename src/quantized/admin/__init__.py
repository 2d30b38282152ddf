"""`/admin/v1`: the verbs of administration over HTTP."""
