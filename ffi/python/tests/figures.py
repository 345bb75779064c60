"""The figures of the border in Python: the same work as ffi/examples/native.rs."""

import asyncio
import json
import os
import tempfile
import time

import motomind as mm

TIMES = 2_000
WORLD = json.loads(os.environ["FFI_WORLD"])


async def median(call):
    took = []
    for _ in range(TIMES):
        start = time.perf_counter()
        await call()
        took.append(time.perf_counter() - start)
    return sorted(took)[TIMES // 2] * 1e6


async def main(directory):
    started = time.perf_counter()
    who = mm.Identity(tenant_id=WORLD["tenant"], user_id=WORLD["people"][0]["user"])
    device = await mm.MotoMind.open(mm.Options(directory=directory, identity=who), None, None)
    vehicle = mm.new_operation_id()
    capture = mm.Capture(
        vehicle_id=vehicle, kind="damage", occurred_at=1_772_366_400_000, date="2026-03-01",
        timezone="America/Denver", notes="a scratch", payload='{"description":"a scratch"}')
    await device.capture(capture)
    await device.timeline(mm.Page(vehicle=vehicle))
    print(f"python first_row_ms {(time.perf_counter() - started) * 1e3:.0f}")
    print(f"python capture_us {await median(lambda: device.capture(capture)):.0f}")
    print(f"python page_us {await median(lambda: device.timeline(mm.Page(vehicle=vehicle))):.0f}")
    await device.shut()


with tempfile.TemporaryDirectory(prefix="motomind-") as directory:
    asyncio.run(main(directory))
