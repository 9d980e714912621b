# One target per role; each installs its own extra and nothing of the others.
#   docker build --target edge -t airreid-edge .
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    AIRREID_BUNDLE=/opt/airreid/models/demo
RUN useradd --uid 10001 --create-home airreid
WORKDIR /opt/airreid
COPY pyproject.toml README.md LICENSE ./
COPY airreid airreid
COPY edge edge
COPY channel_sim channel_sim
COPY accesspoint accesspoint
COPY training training
COPY simulation simulation

FROM base AS channel
RUN pip install '.[channel]'
USER airreid
EXPOSE 50051
ENTRYPOINT ["airreid"]
CMD ["channel", "serve", "--listen", "0.0.0.0:50051", "--upstream", "accesspoint:50052"]

FROM base AS edge
RUN pip install '.[edge]'
COPY models/demo models/demo
USER airreid
ENTRYPOINT ["airreid"]
CMD ["edge", "serve", "--listen", "0.0.0.0:50050", "--to", "channel:50051"]

FROM base AS accesspoint
RUN pip install '.[accesspoint]' && install -d -o airreid /data
COPY models/demo models/demo
USER airreid
VOLUME /data
EXPOSE 50052 8080
ENTRYPOINT ["airreid"]
CMD ["ap", "serve", "--data-dir", "/data", "--grpc", "0.0.0.0:50052", "--http", "0.0.0.0:8080"]

FROM base AS training
RUN pip install '.[training]'
COPY models/demo models/demo
USER airreid
ENTRYPOINT ["airreid", "train"]
