"""The operations on definitions."""

from ninja import Router

from workflows_app.api.agents import router as agents
from workflows_app.api.credentials import router as credentials
from workflows_app.api.parts import router as parts
from workflows_app.api.tickets import router as tickets
from workflows_app.api.workflows import router as workflows

router = Router()
router.add_router("", workflows)
router.add_router("", parts)
router.add_router("", credentials)
router.add_router("", agents)
router.add_router("", tickets)
