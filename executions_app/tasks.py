"""Where workers of Procrastinate and of Celery look for tasks: the one of the dispatcher that the settings choose."""

from executions_app.dispatch.chosen import dispatcher

_ = dispatcher()
