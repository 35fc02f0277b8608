"""A stand-in for the VASP executable: VASP's files in and out, a pair potential inside."""
