"""The whole chain, through the real command, FireWorks and database."""
