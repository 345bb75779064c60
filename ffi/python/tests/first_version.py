"""Makes the journal of a closed device one of the first version, with what was captured in it:
`first_version.py DIRECTORY`. With a second argument the journal only claims to be of that version."""

import sqlite3
import sys
from pathlib import Path

SCHEMA = Path(__file__).resolve().parents[3] / "core/src/journal/001_journal.sql"


def made_old(directory):
    journal, before = Path(directory, "journal.db"), Path(directory, "first.db")
    new, old = sqlite3.connect(journal), sqlite3.connect(before)
    old.executescript(SCHEMA.read_text())
    for table in ("device", "incarnations", "operations"):
        columns = [row[1] for row in old.execute(f"PRAGMA table_info({table})")]
        names, slots = ", ".join(columns), ", ".join("?" * len(columns))
        rows = new.execute(f"SELECT {names} FROM {table}")
        old.executemany(f"INSERT INTO {table} ({names}) VALUES ({slots})", rows)
    old.execute("PRAGMA user_version = 1")
    old.commit()
    for database in (old, new):
        database.close()
    for file in Path(directory).glob("journal.db*"):
        file.unlink()
    before.rename(journal)


def claims(directory, version):
    journal = sqlite3.connect(Path(directory, "journal.db"))
    journal.execute(f"PRAGMA user_version = {version}")
    journal.close()


if __name__ == "__main__":
    claims(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 2 else made_old(sys.argv[1])
