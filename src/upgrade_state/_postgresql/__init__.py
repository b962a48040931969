"""
Records and shared results in a PostgreSQL database, behind the extra `postgresql`.

Everything is in the schema `upgrade_state`. Each step is one statement, so that it
also works through a pooler in transaction mode: no prepared statement, no session
setting and no session lock outlives a statement. The server's clock decides.
"""
