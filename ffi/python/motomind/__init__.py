"""MotoMind Sync for Python: the device core behind ``async`` functions.

    import asyncio, motomind as mm

    async def main():
        me = mm.Identity(tenant_id=TENANT, user_id=USER)
        device = await mm.MotoMind.open(mm.Options(directory="truck", identity=me), None, None)
        async for changes in mm.changes(device):
            ...

Everything below the border is documented in the generated module ``motomind.motomind``.
"""

from .motomind import *  # noqa: F401,F403
from .motomind import MotoMind
from .live import changes, opened, statuses, watch

__all__ = [name for name in dir() if not name.startswith("_")]
