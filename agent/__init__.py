"""The agent: one process per vantage. It fetches its plan, probes, answers its peers' probes, and reports."""
