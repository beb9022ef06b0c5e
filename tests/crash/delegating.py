"""A process that accepts runs of a workflow with nodes for another queue."""

from django.contrib.auth import get_user_model

from tests.crash.processes import enter


def accept(place, output, texts, secrets):
    """Import each of these documents, keep these secrets of their owner, start one run of each, and print the ids."""
    enter(place, output, "")
    from executions_app.services.start import StartRequest, start
    from workflows_app.services.documents import read, save
    from workflows_app.services.secrets import NewSecret, create_secret

    owner = get_user_model().objects.get(username="admin")
    for name, value in secrets.items():
        create_secret(NewSecret(name=name, value=value), owner)
    for text in texts:
        workflow, _ = save(read(text), owner)
        print(start(StartRequest(target=workflow, input={})).execution.id, flush=True)
