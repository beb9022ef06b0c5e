"""The operations on runs."""

from ninja import Router

from executions_app.api.executions import router as executions
from executions_app.api.records import router as records
from executions_app.api.tools import router as tools

router = Router()
router.add_router("", executions)
router.add_router("", records)
router.add_router("", tools)
