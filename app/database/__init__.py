"""The database: engine and sessions, the schema, notifications, jobs, the embedded PostgreSQL."""
