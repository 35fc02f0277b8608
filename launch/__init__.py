"""How campaigns are run and read: command line, database, workers, report."""
