"""All routes about people."""

from fastapi import APIRouter

from app.accounts import login, own, people

router = APIRouter()
router.include_router(login.router)
router.include_router(people.router)
router.include_router(own.router)
