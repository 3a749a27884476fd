"""What every page and API route shares: rendering, errors, middleware, dependencies, assets."""
