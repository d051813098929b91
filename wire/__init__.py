"""What the agent and the collector must agree on, and nothing else.

Everything here is a value: no clock, no socket, no task, no log. A value that exists is valid, since its type checks it at
construction, and wire types only ever grow, so that last month's agent and this month's collector still talk.
"""

WIRE_VERSION = 1
"""Version that every message carries; raised only when a message changes in a way that an older reader would misread."""
