# One image for everything that compose.yaml starts of ours. The environment says the rest: docs/deploy.md.
FROM python:3.13-slim

COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /usr/local/bin/uv
WORKDIR /app
ENV UV_LINK_MODE=copy PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 DJANGO_SETTINGS_MODULE=pastetrader.settings.production

# Before the source, which changes more often.
COPY pyproject.toml uv.lock .python-version ./
RUN uv sync --frozen --no-dev --all-extras
COPY . .
# Collecting needs settings, and no secret: these values are in no process that runs.
RUN SECRET_KEY=unused ALLOWED_HOSTS=unused python manage.py collectstatic --no-input --verbosity 0 \
    && useradd --system --no-create-home pastetrader

USER pastetrader
EXPOSE 8000
CMD ["daphne", "-b", "0.0.0.0", "-p", "8000", "--proxy-headers", "pastetrader.asgi:application"]
