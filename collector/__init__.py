"""The collector: one process per cluster. It discovers, plans, keeps the matrix and exports it."""
