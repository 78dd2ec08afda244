# The relay as a container: docs/container.md. Any other command of evtrig runs as well:
#     docker run --rm evtrig check --help

# By version, so that the same source makes the same image; a digest is stricter still:
#     docker build --build-arg BASE=python@sha256:… .
ARG BASE=python:3.13.9-slim-trixie

FROM ${BASE} AS build
WORKDIR /source
COPY . .
# Without pip in it, which nobody needs afterwards.
RUN python -m venv --without-pip /opt/evtrig \
    && pip --python /opt/evtrig/bin/python install --no-cache-dir .

FROM ${BASE}
COPY --from=build /opt/evtrig /opt/evtrig
# The metrics are for whoever scrapes them from outside of the container.
ENV PATH=/opt/evtrig/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    EVTRIG_RELAY_METRICS_PORT=9464
# A number, because Kubernetes cannot tell of a name that it is not root.
USER 65532:65532
EXPOSE 9464
# Not ready is no reason to be restarted: a relay whose database is down waits for it.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/opt/evtrig/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9464/healthz', timeout=4)"]
ENTRYPOINT ["evtrig"]
CMD ["relay"]
