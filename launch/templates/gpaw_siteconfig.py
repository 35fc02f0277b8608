"""
How GPAW is built for one process: against Debian's libraries, without MPI.

The environment variable GPAW_CONFIG names this file. Without it GPAW's build asks for an MPI
compiler. GPAW_BUILD_JOBS must not be set: with several jobs the build leaves out its library.
"""

mpi = False
compiler = "g++"
fftw = True
noblas = False
nolibxc = False
libraries = ["xc", "openblas", "fftw3"]
