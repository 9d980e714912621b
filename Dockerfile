# One target per role; each installs its own extra and nothing of the others.
#   docker build --target edge -t airreid-edge .
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    ORT_DISABLE_TELEMETRY=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
    AIRREID_BUNDLE=/opt/airreid/models/demo
RUN useradd --uid 10001 --create-home airreid
WORKDIR /opt/airreid
COPY pyproject.toml deploy/requirements.py ./

# The packages; every role has them all, and only its own extra's dependencies.
FROM ${BASE_IMAGE} AS source
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY airreid airreid
COPY edge edge
COPY channel_sim channel_sim
COPY accesspoint accesspoint
COPY training training
COPY simulation simulation
COPY benchmarks benchmarks
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM base AS channel
RUN python requirements.py channel > /tmp/extra && pip install -r /tmp/extra
COPY --from=source /wheel /tmp/wheel
RUN pip install --no-deps /tmp/wheel/*.whl
USER airreid
EXPOSE 50051
ENTRYPOINT ["airreid"]
CMD ["channel", "serve", "--insecure-no-auth", "--listen", "0.0.0.0:50051", "--upstream", "accesspoint:50052"]

FROM base AS edge
RUN python requirements.py edge > /tmp/extra && pip install -r /tmp/extra
COPY models/demo models/demo
COPY --from=source /wheel /tmp/wheel
RUN pip install --no-deps /tmp/wheel/*.whl && install -d -o airreid /spool /crowd
USER airreid
EXPOSE 50050
ENTRYPOINT ["airreid"]
CMD ["edge", "serve", "--insecure-no-auth", "--listen", "0.0.0.0:50050", "--to", "channel:50051"]

FROM base AS accesspoint
RUN python requirements.py accesspoint > /tmp/extra && pip install -r /tmp/extra
COPY models/demo models/demo
COPY --from=source /wheel /tmp/wheel
RUN pip install --no-deps /tmp/wheel/*.whl && install -d -o airreid /data
USER airreid
VOLUME /data
EXPOSE 50052 8080
ENTRYPOINT ["airreid"]
# Needs a token in /data or TLS, or --insecure-no-auth: docs/security.md.
CMD ["ap", "serve", "--data-dir", "/data", "--grpc", "0.0.0.0:50052", "--http", "0.0.0.0:8080"]

FROM base AS training
RUN python requirements.py training > /tmp/extra && pip install -r /tmp/extra
COPY models/demo models/demo
COPY --from=source /wheel /tmp/wheel
RUN pip install --no-deps /tmp/wheel/*.whl
USER airreid
ENTRYPOINT ["airreid", "train"]
