__version__ = "0.1.0"

import os

# Before torch is loaded: threads that wait shall sleep. Two processes on two cores then train 1.5 times as fast, and one alone as before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
