"""What the scenarios do not ask, asked in Python: threads and tasks, what is given up, bad input,
photos, an upgrade of the journal, and that nothing is left behind."""

import asyncio
import hashlib
import json
import os
import random
import sys
import subprocess
import tempfile
import threading
import time
import traceback
from pathlib import Path

import first_version
import motomind as mm

E = mm.MotoMindError
WORLD = json.loads(os.environ["FFI_WORLD"])
OPERATIONS = int(os.environ.get("FFI_OPERATIONS", 1000))
OPENINGS = int(os.environ.get("FFI_OPENINGS", 200))
NOWHERE = "00000000-0000-7000-8000-000000000000"
ROOT = Path(__file__).resolve().parents[3]
CHECKS = []


def check(act):
    CHECKS.append(act)
    return act


def options(directory, person=0):
    who = mm.Identity(tenant_id=WORLD["tenant"], user_id=WORLD["people"][person]["user"])
    return mm.Options(directory=str(directory), identity=who, server=WORLD["url"])


async def opened(directory, person=0):
    device = await mm.MotoMind.open(options(directory, person), None, None)
    await device.set_token(WORLD["people"][person]["token"])
    return device


def damage(vehicle, notes="a scratch", **more):
    given = dict(vehicle_id=vehicle, kind="damage", occurred_at=1_772_366_400_000, date="2026-03-01",
                 timezone="America/Denver", notes=notes, payload='{"description":"a scratch"}')
    return mm.Capture(**(given | more))


async def vehicle_of(device, name="Truck"):
    return (await device.create("vehicles", json.dumps({"nickname": name}))).record.id


async def everything(device, vehicle):
    entries, before = [], None
    while True:
        page = await device.timeline(mm.Page(vehicle=vehicle, before=before, limit=500))
        entries += page.entries
        before = page.next
        if before is None:
            return entries


async def caught_up(*devices):
    for device in devices:
        end = await device.sync_once()
        assert end.is_CAUGHT_UP(), end


async def refused(kind, call):
    try:
        await call
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


@check
async def captures_queries_and_syncs_at_once_some_given_up(directory):
    seed = int(os.environ.get("FFI_SEED", time.time_ns()))
    print(f"# FFI_SEED={seed} FFI_OPERATIONS={OPERATIONS}")
    dice, device = random.Random(seed), await opened(directory)
    vehicles = [await vehicle_of(device, f"Truck {n}") for n in range(4)]
    asked, acknowledged, given_up = set(), set(), 0
    device.start_sync()

    async def one(what, vehicle):
        if what < 6:
            op_id = mm.new_operation_id()
            asked.add(op_id)
            acknowledged.add((await device.capture(damage(vehicle, op_id=op_id))).op_id)
        elif what < 8:
            await device.timeline(mm.Page(vehicle=vehicle))
        elif what < 9:
            await device.pending()
        else:
            await device.vehicles() if dice.random() < 0.75 else await device.sync_once()

    async def worker(count):
        nonlocal given_up
        for _ in range(count):
            call = asyncio.ensure_future(one(dice.randrange(10), dice.choice(vehicles)))
            if dice.random() < 0.25:
                await asyncio.sleep(dice.choice([0, 0.001, 0.003]))
                given_up += call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            if not call.cancelled() and call.exception():
                raise call.exception()

    await asyncio.gather(*(worker(OPERATIONS // 16) for _ in range(16)))
    await device.stop_sync()
    while (await device.sync_once()).is_LATER():
        await asyncio.sleep(0.1)
    there = [entry for vehicle in vehicles for entry in await everything(device, vehicle)]
    ids = {entry.event_id for entry in there}
    assert acknowledged <= ids, f"{len(acknowledged - ids)} acknowledged captures were lost"
    assert ids <= asked, "captures that nobody asked for"
    assert all(entry.state == mm.OpState.ACCEPTED for entry in there)
    assert await device.verify() is None
    assert given_up > OPERATIONS // 20, given_up
    print(f"# {len(acknowledged)} acknowledged, {len(there)} there, {given_up} calls given up")
    await device.shut()


@check
async def event_loops_of_several_threads(directory):
    device = await opened(directory)
    vehicle, failures = await vehicle_of(device), []

    def thread():
        async def work():
            for _ in range(10):
                await device.capture(damage(vehicle))
        try:
            asyncio.run(work())
        except BaseException as error:  # told to the test, whatever it is
            failures.append(error)

    threads = [threading.Thread(target=thread) for _ in range(8)]
    for one in threads:
        one.start()
    await asyncio.to_thread(lambda: [one.join() for one in threads])
    assert not failures, failures
    assert len(await everything(device, vehicle)) == 80
    await device.shut()


@check
async def listeners_that_throw_and_iterators(directory):
    device = await opened(directory)

    class Rude(mm.Listener):
        def on_change(self, changes):
            raise RuntimeError("a listener's own fault")

        def on_status(self, status):
            raise SystemError

    rude = device.subscribe(Rude())
    vehicle = await vehicle_of(device)
    counts = []

    async def collect():
        async for found in mm.watch(device, {"events"}, lambda: everything(device, vehicle)):
            counts.append(len(found))
            if counts[-1] == 3:
                return

    collecting = asyncio.ensure_future(collect())
    for _ in range(3):
        await device.capture(damage(vehicle))
    await asyncio.wait_for(collecting, 60)
    rude.cancel()
    await device.shut()


@check
async def closed_in_a_callback(directory):
    device, closed = await opened(directory), threading.Event()

    class Closes(mm.Listener):
        def on_change(self, changes):
            asyncio.run(device.shut())
            closed.set()

        def on_status(self, status):
            pass

    subscription = device.subscribe(Closes())
    await vehicle_of(device)
    assert await asyncio.to_thread(closed.wait, 60)
    subscription.cancel()
    async with mm.opened(options(directory)) as again:
        assert len(await again.pending()) == 1


@check
async def wrong_values(directory):
    device = await opened(directory)
    vehicle = await vehicle_of(device)
    for bad in ("", "x", "' OR 1=1 --", "\0", "é" * 100_000):
        await refused(E.Malformed, device.vehicle(bad))
        await refused(E.Malformed, device.capture(damage(bad)))
        await refused(E.Malformed, device.capture(damage(vehicle, date=bad)))
    await refused(E.Malformed, device.capture(damage(vehicle, payload="[]")))
    await refused(E.Invalid, device.capture(damage(vehicle, kind="")))
    nan = mm.Fix(latitude=float("nan"), longitude=0.0, source=mm.FixSource.GPS())
    await refused(E.Invalid, device.capture(damage(vehicle, fix=nan)))
    # None, and values of another type, where none are allowed: Python itself refuses.
    for bad in (None, 7, b"x", object()):
        for call in (lambda: device.vehicle(bad), lambda: device.capture(damage(bad)),
                     lambda: device.capture(damage(vehicle, miles="far")),
                     lambda: device.discard(NOWHERE, bad)):
            await refused((TypeError, AttributeError, ValueError), call())
    for bad in (None, 3, "original", mm.OpState.QUEUED):
        await refused((TypeError, AttributeError, ValueError, KeyError), device.fetch_photo("0" * 64, bad))
    await refused((ValueError, UnicodeEncodeError), device.capture(damage(vehicle, "\ud800")))
    await refused(ValueError, device.timeline(mm.Page(limit=-1)))
    await refused(ValueError, device.timeline(mm.Page(limit=2**32)))
    await refused(E.Unknown, device.amend(NOWHERE, damage(vehicle)))
    assert await everything(device, vehicle) == []
    await device.shut()
    await refused(E.Closed, device.pending())
    await refused(E.Closed, device.resume())
    await refused(E.Host, mm.MotoMind.open(options("/proc/no/where"), None, None))
    await refused(E.Malformed, device_of("x"))
    keyed = mm.Options(directory=f"{directory}/keyed", identity=options(directory).identity, key="secret")
    await refused(E.NoEncryption, mm.MotoMind.open(keyed, None, None))


async def device_of(bad):
    who = mm.Identity(tenant_id=bad, user_id=bad)
    with tempfile.TemporaryDirectory() as directory:
        await mm.MotoMind.open(mm.Options(directory=directory, identity=who), None, None)


@check
async def photos_and_their_memory(directory):
    device = await opened(directory)
    vehicle, jpeg = await vehicle_of(device), small_jpeg()
    file = Path(directory, "large.jpg")
    with file.open("wb") as out:
        out.write(jpeg)
        for _ in range(60):
            out.write(os.urandom(1_000_000))
    event = (await device.capture(damage(vehicle))).op_id
    before = peak_mib(reset=True)
    given = mm.GivenPhoto(source=mm.Source.PATH(str(file)), meta=mm.PhotoMeta())
    added = await device.add_photo(mm.PhotoTarget.EVENT(event), given)
    grown = peak_mib() - before
    print(f"# 60 MB by its path: peak memory grew by {grown:.0f} MiB")
    assert grown < 30, grown
    with file.open("rb") as again:
        given = mm.GivenPhoto(source=mm.Source.DESCRIPTOR(again.fileno()), meta=mm.PhotoMeta())
        assert (await device.add_photo(mm.PhotoTarget.EVENT(event), given)).duplicate
        again.seek(0)  # it is still open
    assert added.facts.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    for source in (mm.Source.PATH("/no/such.jpg"), mm.Source.DESCRIPTOR(-1), mm.Source.DESCRIPTOR(99_999)):
        given = mm.GivenPhoto(source=source, meta=mm.PhotoMeta())
        await refused(E.Host, device.add_photo(mm.PhotoTarget.EVENT(event), given))
    await device.shut()


@check
async def an_upgrade_with_pending_captures(directory):
    """A journal as the first version made it, with what was captured then."""
    device = await opened(directory)
    vehicle = mm.new_operation_id()
    events = [(await device.capture(damage(vehicle, f"{n}"))).op_id for n in range(5)]
    await device.shut()
    first_version.made_old(directory)

    device = await opened(directory)
    assert [item.op_id for item in await device.pending()] == events
    assert {entry.event_id for entry in await everything(device, vehicle)} == set(events)
    assert await device.verify() is None
    # The vehicle is nobody's: the server refuses, and says so, one by one.
    await device.sync_once()
    assert all(item.state == mm.OpState.REJECTED for item in await device.pending())
    await device.shut()
    first_version.claims(directory, 99)
    await refused(E.NewerSchema, opened(directory))


@check
async def a_conflict_is_seen_by_both_and_decided_by_one(directory):
    ana, ben = await opened(f"{directory}/ana", 0), await opened(f"{directory}/ben", 1)
    car = mm.RecordRef(collection="vehicles", id=await vehicle_of(ana, "Red"))
    await caught_up(ana, ben)
    await ana.edit(car, '{"nickname": "Big Red"}')
    await ben.edit(car, '{"nickname": "Old Red"}')
    await caught_up(ana, ben, ana)
    for device in (ana, ben):
        conflict, = [one.conflict for one in await device.conflicts() if one.record == car]
        assert {one.value for one in conflict.values} == {'"Big Red"', '"Old Red"'}, conflict
    await ben.resolve(car, "nickname", '"Big Red"')
    await caught_up(ben, ana)
    for device in (ana, ben):
        assert not [one for one in await device.conflicts() if one.record == car]
        assert (await device.vehicle(car.id)).name == "Big Red"
        await device.shut()


@check
async def two_people_on_one_phone(directory):
    ana = await mm.MotoMind.open(options(f"{directory}/ana", 0), None, None)
    vehicle = await vehicle_of(ana)
    event = (await ana.capture(damage(vehicle, "Ana's"))).op_id
    assert await ana.set_token(WORLD["people"][1]["token"]) == mm.Blocked.WRONG_IDENTITY
    assert (await ana.sync_once()).is_STOPPED()
    await ana.shut()
    await refused(E.WrongIdentity, opened(f"{directory}/ana", 1))
    ben = await opened(f"{directory}/ben", 1)
    await caught_up(ben)
    assert await ben.operation(event) is None and await everything(ben, vehicle) == []
    ana = await opened(f"{directory}/ana", 0)
    assert len(await ana.pending()) == 2
    await caught_up(ana, ben)
    assert [entry.event_id for entry in await everything(ben, vehicle)] == [event]
    await ana.shut()
    await ben.shut()


@check
async def an_upload_by_another_process_cut_and_resumed(directory):
    device = await opened(directory)
    by_host = dict(previews=mm.When.ALWAYS, originals=mm.When.ALWAYS, fetched_previews=mm.When.ALWAYS)
    await device.set_transfer_policy(mm.TransferPolicy(**by_host, metered_budget=None, originals_by_host=True))
    source = mm.Source.BYTES(small_jpeg() + os.urandom(400_000))
    given = mm.GivenPhoto(source=source, meta=mm.PhotoMeta())
    await device.capture_with_photos(damage(await vehicle_of(device)), [given])

    async def by_the_system(plan, most=None):
        body = Path(directory, "body")
        await device.write_upload(plan.sha256, plan.offset, mm.Sink.PATH(str(body)))
        await device.shut()
        headers = [part for header in plan.headers.items() for part in ("-H", ": ".join(header))]
        if most:
            os.truncate(body, most)
        subprocess.run(["curl", "-sf", "-X", plan.method, *headers, "--data-binary", f"@{body}", plan.url], check=True)
        return await opened(directory)

    while not (plans := await device.upload_plans()):
        await device.sync_once()
    device = await by_the_system(plans[0], 150_000)
    await device.upload_failed(plans[0].photo, plans[0].variant, "cut in its middle")
    await caught_up(device)
    rest, = await device.upload_plans()
    assert rest.offset == 150_000, rest.offset
    device = await by_the_system(rest)
    await device.upload_finished(rest.photo, rest.variant)
    await caught_up(device)
    assert all(one.state == mm.UploadState.STORED for one in await device.uploads())
    await device.shut()


@check
async def nothing_left_behind(directory):
    async def round(n):
        async with mm.opened(options(directory)) as device:
            listener = type("Silent", (mm.Listener,), {"on_change": lambda *_: None, "on_status": lambda *_: None})()
            subscription = device.subscribe(listener)
            await device.status()
            if n % 2:
                subscription.cancel()

    def measured():
        import gc
        gc.collect()
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return len(os.listdir("/proc/self/fd")), int(status["Threads"]), int(status["VmRSS"].split()[0]) // 1024

    for n in range(OPENINGS // 4):
        await round(n)
    before = measured()
    for n in range(OPENINGS):
        await round(n)
    after = measured()
    print(f"# {OPENINGS} openings: files, threads, MiB {before} → {after}")
    assert after[0] <= before[0] + 3 and after[1] <= before[1] + 8 and after[2] <= before[2] + 16


def small_jpeg():
    """A small picture of the project's own tests."""
    return (ROOT / "core/tests/data/photos/edited.jpg").read_bytes()


def peak_mib(reset=False):
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main(chosen):
    passed = failed = 0
    for act in CHECKS:
        name = act.__name__.replace("_", " ")
        if chosen and not any(part in name for part in chosen):
            continue
        try:
            with tempfile.TemporaryDirectory(prefix="motomind-") as directory:
                asyncio.run(asyncio.wait_for(act(directory), 600))
            passed += 1
            print(f"ok - {name}", flush=True)
        except BaseException:
            failed += 1
            print(f"not ok - {name}", flush=True)
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
