"""What the workspace shows: frozen values and the queries that fill them."""
