# The image of app, worker and commands; a model server is an image of its own (vllm/vllm-openai).
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/iterdpo
COPY requirements/build.txt requirements/run.txt /requirements/
RUN /opt/iterdpo/bin/python -m pip install --require-hashes -r /requirements/build.txt \
    && /opt/iterdpo/bin/python -m pip install --require-hashes -r /requirements/run.txt
# The same wheel as `make wheel` builds.
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE /source/
COPY app /source/app
COPY migrations /source/migrations
COPY static /source/static
COPY templates /source/templates
COPY iterdpo /source/iterdpo
COPY worker /source/worker
RUN /opt/iterdpo/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /source \
    && /opt/iterdpo/bin/python -m pip install --no-deps /wheels/*.whl

FROM python:${PYTHON}
# The id is fixed, so that a volume's files keep their owner from one image to the next.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin iterdpo \
    && install --directory --owner iterdpo --group iterdpo /data
COPY --from=packages /opt/iterdpo /opt/iterdpo
ENV PATH=/opt/iterdpo/bin:$PATH PYTHONUNBUFFERED=1 ITERDPO_DATA=/data ITERDPO_LOG_JSON=1
USER iterdpo
WORKDIR /data
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["iterdpo"]
CMD ["serve", "--host", "0.0.0.0"]
