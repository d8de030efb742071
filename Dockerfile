# The pipeline as an image: `docker build .` for CPU, `docker build --target gpu .` with NVIDIA's libraries.
#
# pip's settings and a certificate authority of your own reach the build as secrets, and stay out of the image:
#   --secret id=pip.conf,src=pip.conf --secret id=ca.crt,src=ca-certificates.crt
FROM python:3.11-slim-trixie AS base
ENV PATH=/opt/fashion/bin:$PATH


FROM base AS build
# strip makes TensorFlow's libraries a quarter smaller.
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
RUN python -m venv --without-pip /opt/fashion
ENV PIP="/usr/local/bin/python -m pip --python /opt/fashion/bin/python install --no-deps --no-compile --no-build-isolation" \
    PIP_CACHE_DIR=/var/cache/pip \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY constraints.txt ./
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    grep -E '^(setuptools|wheel)==' constraints.txt > tools.txt && $PIP -r tools.txt \
    && grep -v '^tensorflow==' constraints.txt > packages.txt && $PIP -r packages.txt


# A change of the code changes this small layer, and not the packages below it.
FROM build AS app
COPY . ./
RUN FASHION_IMAGE_BUILD=1 $PIP --no-index --prefix /app . \
    && python -m compileall -q --invalidation-mode unchecked-hash -s /app -p /opt/fashion /app \
    && cp /app/lib/python3.11/site-packages/fashion_pipeline-*.dist-info/METADATA /app/METADATA


# The same TensorFlow without CUDA's kernels: half the size.
FROM build AS packages-cpu
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    $PIP "$(sed -n 's/^tensorflow==/tensorflow-cpu==/p' constraints.txt)"
COPY scripts/slim.py ./
COPY --from=app /app/METADATA ./
RUN python slim.py METADATA


FROM build AS packages-gpu
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    $PIP "$(grep '^tensorflow==' constraints.txt)"
COPY scripts/slim.py ./
COPY --from=app /app/METADATA ./
RUN python slim.py METADATA
COPY constraints-gpu.txt ./
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    $PIP -r constraints-gpu.txt


FROM base AS runtime
LABEL org.opencontainers.image.title="fashion-pipeline" \
      org.opencontainers.image.description="A TFX pipeline that turns a fashion catalogue into an image classifier you can trust in production" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-trixie"
# The base comes without compiled code, and what is not compiled in the image is compiled again in every container.
RUN python -m compileall -q --invalidation-mode unchecked-hash \
    -x '/(ensurepip|idlelib|lib2to3|site-packages|test|tests)/' /usr/local/lib/python3.11
# Any other user id works as well: it comes with group 0, which may write where this user may.
RUN useradd --uid 10001 --gid 0 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin fashion \
    && install --directory --owner 10001 --group 0 --mode 2775 /data
# The root file system may be read-only: all that is written goes to /data, which a volume takes, and /tmp. Libraries ask
# for the name of the user, and one who is not in /etc/passwd has none but this.
ENV HOME=/tmp \
    LOGNAME=fashion \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:0
WORKDIR /data
ENTRYPOINT ["fashion"]
CMD ["--help"]


FROM runtime AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=packages-gpu /opt/fashion /opt/fashion
COPY --from=app /app /opt/fashion
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"


FROM runtime AS cpu
COPY --from=packages-cpu /opt/fashion /opt/fashion
COPY --from=app /app /opt/fashion
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"
