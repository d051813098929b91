# The one image of netmatrix, with the commands `agent`, `collector` and `netmatrix`. Locked wheels, by hash; no compiler, no root.
# Any image with a python3 of 3.11 or newer that can make a virtual environment will do for both stages.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/netmatrix
WORKDIR /build
# What runs, and apart from it what makes a wheel of the project itself. First, since they change less often than the project.
COPY requirements.lock requirements-image.lock ./
RUN /tools/bin/pip --python /opt/netmatrix/bin/python install --quiet --no-compile --no-deps --only-binary :all: \
        --require-hashes -r requirements-image.lock
RUN awk '/^[a-z]/ { wanted = /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/ } wanted' requirements.lock > tools.lock \
    && /tools/bin/pip install --quiet --no-deps --only-binary :all: --require-hashes -r tools.lock
COPY pyproject.toml README.md LICENSE ./
COPY wire wire
COPY agent agent
COPY collector collector
COPY docs/runbooks docs/runbooks
COPY scripts/image-content scripts/image-content
RUN mkdir lab && /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /tmp . \
    && /tools/bin/pip --python /opt/netmatrix/bin/python install --quiet --no-compile --no-deps /tmp/netmatrix-*.whl \
    && scripts/image-content /opt/netmatrix

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="netmatrix" \
      org.opencontainers.image.description="Active in-cluster connectivity prober for Kubernetes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/netmatrix /opt/netmatrix
# A home, since the user has no line in /etc/passwd and the Kubernetes client looks for one when it is imported.
ENV PATH=/opt/netmatrix/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp
USER 65532:65532
CMD ["netmatrix", "--help"]
