"""Puente: explained matches between clusters, regions, companies, schools and trainees.

The settings below must stand before the libraries that read them are first imported.
"""

import os

# The encoder's sessions and FAISS use one thread each; the pools of OpenMP and OpenBLAS would steal their cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The tokenizers' own pool warns and deadlocks in processes that fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# onnxruntime reports its use to its maker unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
