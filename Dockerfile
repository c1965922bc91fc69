# Puente in one container: the server, its pinned packages and the exported encoder, for a user without privileges.
#
#   docker build -t puente .
#   docker run --rm -p 127.0.0.1:8000:8000 -v puente-data:/data puente
#
# All data are in the volume /data (a folder mounted there must be writable for user 10001). `puente` is on the PATH:
#   docker run --rm -v puente-data:/data -v "$PWD/mine.csv:/mine.csv:ro" puente puente import /mine.csv
#
# Build arguments:
#   TORCH_INDEX          package index that torch alone comes from. The default has its CPU build (0.2 GB); with
#                        --build-arg TORCH_INDEX= it comes from PyPI, for NVIDIA cards (several GB).
#   PIP_EXTRA_INDEX_URL  a further index for all packages, such as a mirror.

FROM python:3.11-slim AS builder
ARG TORCH_INDEX="https://download.pytorch.org/whl/cpu"
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
ENV PATH="/opt/venv/bin:$PATH"
ENV OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false ORT_DISABLE_TELEMETRY=1
ENV PUENTE_MODEL_CACHE=/opt/encoder
WORKDIR /opt/puente
RUN python -m venv /opt/venv

# Packages first, over an empty app: this layer lasts until a version changes. The build tool is pinned too, hence no
# build environment of its own. The install is editable because migrations/, models/ and scripts/territory/ are found
# beside app/.
COPY constraints.txt pyproject.toml README.md ./
RUN pip install -c constraints.txt setuptools
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-deps --index-url "$TORCH_INDEX" -c constraints.txt torch; fi
RUN mkdir app && touch app/__init__.py && pip install --no-build-isolation -c constraints.txt -e .

COPY app app
COPY migrations migrations
COPY models models
COPY scripts/territory scripts/territory
# The encoder is exported and checked here, once, so that a container starts without torch.
RUN python -m compileall -q app && python -c "from app.matching.embedder import load_embedder; load_embedder()"


FROM python:3.11-slim
RUN useradd --uid 10001 --user-group --home-dir /data --no-create-home --shell /usr/sbin/nologin puente \
    && install -d -o 10001 -g 10001 -m 0750 /data
COPY --from=builder /opt /opt
ENV PATH="/opt/venv/bin:$PATH"
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENV OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false ORT_DISABLE_TELEMETRY=1
ENV PUENTE_MODEL_CACHE=/opt/encoder PUENTE_DATABASE=/data/puente.db
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
# /ready answers 503, which urlopen raises, until the index stands. No proxy: the server is in this container.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/ready', timeout=4)"]
CMD ["puente", "serve", "--host", "0.0.0.0"]
