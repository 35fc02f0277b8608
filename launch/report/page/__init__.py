"""A page that people look at: one file with structures, diffraction, figures and what was done."""
