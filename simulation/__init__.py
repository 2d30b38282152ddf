"""The real ledger in a simulated world: time, scheduling and the fate of a commit are drawn from a seed."""
