"""The operations on runs."""

from ninja import Router

from executions_app.api.tools import router as tools

router = Router()
router.add_router("", tools)
