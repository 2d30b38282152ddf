"""What an administrator can do: verbs as plain data, each one transaction with its entry in the audit log."""
