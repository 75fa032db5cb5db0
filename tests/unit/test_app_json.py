"""What Heroku reads when somebody deploys with it, held against the service."""

from __future__ import annotations

import json
from pathlib import Path

from service.config.settings import Settings

ROOT = Path(__file__).parents[2]
MANIFEST = json.loads((ROOT / "app.json").read_text())
FROM_ADDONS = {"DATABASE_URL", "REDIS_URL"}


def test_every_variable_is_a_setting() -> None:
    assert {name.lower() for name in MANIFEST["env"]} <= set(Settings.model_fields)


def test_nothing_is_missing_in_production() -> None:
    needed = set(Settings().missing)
    assert needed <= set(MANIFEST["env"]) | FROM_ADDONS
    assert {addon.partition(":")[0] for addon in MANIFEST["addons"]} == {
        "heroku-postgresql",
        "heroku-redis",
    }


def test_the_secrets_are_made_and_none_is_written_down() -> None:
    made = {name for name, entry in MANIFEST["env"].items() if entry.get("generator") == "secret"}
    assert made == {"SECRET_KEYS", "INTERNAL_TOKEN"}
    assert not any(MANIFEST["env"][name].get("value") for name in (*made, "WECHAT_SECRET"))


def test_it_forms_what_the_procfile_runs() -> None:
    processes = {line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()}
    assert set(MANIFEST["formation"]) <= processes
