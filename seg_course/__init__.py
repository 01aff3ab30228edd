__version__ = "0.1.0"

import os
import warnings

# Before torch is loaded: threads that wait shall sleep. Two processes on two cores then train 1.5 times as fast, and one alone as before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# fastai's import calls what newer versions of PyTorch deprecate: a reader of a notebook can do nothing about it.
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
