"""What all tests share."""

import os

import torch

torch.set_num_threads(1)
os.environ.setdefault("PENSTOCK_VERIFY", "1")  # every graph is checked after every pass that changed it
