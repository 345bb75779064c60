"""A device that takes one JSON command per line and answers each with one line: the Python agent
of the behaviour scenarios. tests/scenarios/README.md describes the commands."""

import asyncio
import datetime
import enum
import json
import shutil
import sys
import tempfile
import zoneinfo
from pathlib import Path

import motomind as mm

E = mm.MotoMindError
CODES = {
    E.AlreadyOpen: "already_open", E.WrongIdentity: "wrong_identity", E.NoIdentity: "no_identity",
    E.WrongKey: "wrong_key", E.NewerSchema: "newer_schema", E.JournalDamaged: "journal_damaged",
    E.Invalid: "invalid", E.ConfirmJump: "confirm_jump", E.IdReused: "id_reused",
    E.TooLarge: "too_large", E.DiskFull: "storage", E.Damaged: "storage", E.Storage: "storage",
}
UNKNOWN = {
    mm.Thing.OPERATION: "unknown_operation", mm.Thing.RECORD: "unknown_record",
    mm.Thing.PHOTO: "unknown_photo", mm.Thing.SESSION: "unknown_session",
}
TOO_LATE = {
    mm.Obstacle.ACCEPTED: "already_accepted", mm.Obstacle.NOT_REFUSED: "not_refused",
    mm.Obstacle.SUPERSEDED: "already_superseded",
}
SOURCES = ("gps", "network", "fused", "exif", "manual", "vision", "cached")
ABSENCES = ("permission_denied", "position_unavailable", "timeout", "not_supported")


class Clock(mm.DeviceClock):
    """Shows what the last command said."""

    now = 0

    def read(self):
        return mm.ClockReading(wall_ms=self.now)


class Zone(mm.ZoneRules):
    """Python's own zones."""

    def __init__(self, name):
        self.zone = zoneinfo.ZoneInfo(name)

    def offsets_minutes(self, local):
        wall = datetime.datetime.fromisoformat(local)
        found = []
        for fold in (0, 1):
            here = wall.replace(tzinfo=self.zone, fold=fold)
            there = here.astimezone(datetime.timezone.utc).astimezone(self.zone)
            minutes = int(here.utcoffset().total_seconds() // 60)
            if there.replace(tzinfo=None) == wall and minutes not in found:
                found.append(minutes)
        return found


def word(kind, known, text):
    """One of an open list of words."""
    if text is None:
        return None
    if text not in known:
        return kind.OTHER(text)
    return getattr(kind, text.upper())()


def fix_of(given):
    if given is None:
        return None
    known = {name: given.get(name) for name in (
        "latitude", "longitude", "accuracy_m", "altitude_m", "altitude_accuracy_m", "heading_deg",
        "speed_mps", "fixed_at", "is_mock", "age_ms")}
    source = word(mm.FixSource, SOURCES, given.get("source"))
    extra = {key: value for key, value in given.items() if key not in known and key != "source"}
    return mm.Fix(**known, source=source, extra=json.dumps(extra))


def capture_of(given):
    given = dict(given)
    take = given.pop
    capture = {name: take(name, None) for name in (
        "op_id", "vehicle_id", "occurred_at", "date", "timezone", "miles", "total_minor",
        "currency", "vendor", "notes", "session_id", "corrects", "reason")}
    return mm.Capture(
        **capture, kind=take("type"), payload=json.dumps(take("payload", {})),
        fix=fix_of(take("fix", None)), photo_fix=fix_of(take("photo_fix", None)),
        fix_absent=word(mm.FixAbsence, ABSENCES, take("fix_absent", None)),
        extra=json.dumps({key: value for key, value in given.items() if value is not None}))


def plain(value):
    """A record of the border as JSON, in the names of the wire."""
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "__dict__"):
        named = {name.rstrip("_"): plain(one) for name, one in vars(value).items()}
        return {"type" if name == "kind" else name: one for name, one in named.items()}
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def shown(entry):
    return plain(entry) | {"record": json.loads(entry.record_json)}


def refusal(error):
    code = CODES.get(type(error))
    if isinstance(error, E.Unknown):
        code = UNKNOWN[error.thing]
    if isinstance(error, E.TooLate):
        code = TOO_LATE[error.why]
    told = {"code": code or type(error).__name__.lower(), "message": str(error)}
    return told | ({"fields": plain(error.fields)} if isinstance(error, E.Invalid) else {})


class Agent:
    def __init__(self):
        self.clock, self.device = Clock(), None

    async def open(self, directory, identity=None):
        who = identity and mm.Identity(**identity)
        options = mm.Options(directory=directory, identity=who)
        self.device = await mm.MotoMind.open(options, None, self.clock)
        who = self.device.identity()
        return {"device_id": who.device_id, "incarnation": who.incarnation}

    async def close(self):
        await self.device.shut()
        self.device = None

    async def copy(self, **ends):
        for file in Path(ends["from"]).iterdir():
            shutil.copy(file, ends["to"])

    async def token(self, token):
        return {"blocked": plain(await self.device.set_token(token))}

    async def capture(self, capture):
        return plain(await self.device.capture(capture_of(capture)))

    async def amend(self, op_id, capture):
        return plain(await self.device.amend(op_id, capture_of(capture)))

    async def discard(self, op_id, reason):
        return plain(await self.device.discard(op_id, reason))

    async def retry(self, op_id):
        await self.device.retry(op_id)

    async def import_(self, file, vehicle, timezone, currency=None):
        source = mm.Source.PATH(file)
        return plain(await self.device.import_fuelio(source, vehicle, timezone, Zone(timezone), currency))

    async def sync(self, url):
        self.device.set_server(url)
        end = await self.device.sync_once()
        if end.is_LATER():
            return {"end": "later", "wait_ms": end.at - self.clock.now}
        if end.is_STOPPED():
            return {"end": "blocked", "blocked": plain(end.why)}
        return {"end": "caught_up"}

    async def pending(self):
        return [plain(item) for item in await self.device.pending()]

    async def timeline(self, vehicle, hidden):
        page = mm.Page(vehicle=vehicle, include_hidden=hidden, limit=500)
        return [shown(entry) for entry in (await self.device.timeline(page)).entries]

    async def vehicle(self, vehicle):
        return plain(await self.device.vehicle(vehicle))

    async def status(self):
        return plain(await self.device.status())

    async def export(self, everything):
        with tempfile.NamedTemporaryFile() as file:
            await self.device.export(mm.Sink.DESCRIPTOR(file.fileno()), everything)
            return {"text": Path(file.name).read_text()}

    async def verify(self):
        broken = await self.device.verify()
        return {"broken": None if broken is None else repr(broken)}

    async def answer(self, line):
        command = json.loads(line)
        what, self.clock.now = command.pop("cmd"), command.pop("now", 0)
        try:
            return {"ok": await getattr(self, "import_" if what == "import" else what)(**command)}
        except E as error:
            return {"error": refusal(error)}


async def main():
    agent = Agent()
    for line in sys.stdin:
        print(json.dumps(await agent.answer(line)), flush=True)


asyncio.run(main())
