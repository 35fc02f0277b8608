"""What computes energies, forces and stresses."""
