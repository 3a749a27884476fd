"""The command line as a shell sees it: what it does, what it says where, how it ends."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.postgres import embedded, running_url
from app.database.sessions import make_engine
from app.models import Project, Sample
from app.settings import ROOT
from tests.db.conftest import Desk
from tests.db.test_model_template import SMALL, model
from tests.support.commands import run_command
from tests.support.factories import add_draft, add_user
from tests.support.imports import animation, nested_forms
from tests.support.pairing import add_pair
from tests.support.snapshots import vault


class Studio:
    """Runs commands on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def run(
        self, *words: str, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """The finished command."""
        return run_command(
            words, os.environ | {"ITERDPO_DATA": str(self.data)} | environment, stdin=stdin
        )

    def ok(self, *words: str, stdin: str = "") -> str:
        """What a command that succeeds prints on standard output."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str, status: int = 1) -> str:
        """What a command that is refused prints on standard error, and nothing elsewhere."""
        done = self.run(*words)
        assert done.returncode == status, done.stdout + done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A data directory with spaces, the same for all tests here; its server stays up meanwhile."""
    data = tmp_path_factory.mktemp("cli") / "my data"
    with embedded(data):
        yield Studio(data)


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    """Two samples with an image."""
    Image.new("RGB", (640, 360), "navy").save(tmp_path / "one.png")
    rows = [
        {
            "id": f"lecture-{number}",
            "instruction": "Write the script.",
            "images": ["one.png"],
            "output": "## Slide 1\nWelcome 字.\n\n## Slide 2\nThank you.",
        }
        for number in (1, 2)
    ]
    file = tmp_path / "samples.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_a_pdf_that_would_take_the_memory_of_the_machine_is_refused(
    studio: Studio, tmp_path: Path
) -> None:
    deck = tmp_path / "deck.pdf"
    deck.write_bytes(nested_forms())
    studio.ok("project", "add", "hostile")
    done = studio.run("import", "hostile", str(deck))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "Error: Nothing was imported: 1 error.",
        "deck.pdf, page 1: It takes more than 1,024 MiB of memory to decode: it is refused.",
    ]


def test_an_animation_is_imported_as_its_first_frame_with_a_notice(
    studio: Studio, tmp_path: Path
) -> None:
    (tmp_path / "a.gif").write_bytes(animation())
    (tmp_path / "s.jsonl").write_text(
        json.dumps({"id": "moving", "instruction": "Write.", "images": ["a.gif"]})
    )
    studio.ok("project", "add", "moving")
    done = studio.run("import", "moving", str(tmp_path / "s.jsonl"))
    assert done.returncode == 0
    assert "Animated images: 1. People and models are shown the first frame of each." in done.stderr


def test_from_nothing_to_a_project_with_samples_people_and_a_token(
    studio: Studio, jsonl: Path
) -> None:
    invitation = studio.ok("user", "add", "ada", "--role", "admin").splitlines()
    assert invitation[0] == "Added the admin ada."
    assert invitation[1].startswith("http://localhost:8000/invitation/")
    studio.ok("user", "add", "lin", "--password", stdin="a long password\n")
    studio.ok("user", "add", "theo", "--role", "trainer")
    studio.ok("project", "add", "lectures", "--title", "Lectures", "--member", "lin")
    studio.ok("project", "join", "lectures", "theo")

    looked = studio.ok("import", "lectures", str(jsonl), "--dry-run")
    assert looked.startswith("JSON Lines: 2 samples, ")
    said = studio.ok("import", "lectures", str(jsonl), "--policy", "model@1")
    assert said.startswith("Added 2 samples with 4 segments and 1 images; 0 existed")
    again = studio.ok("import", "lectures", str(jsonl), "--policy", "model@1")
    assert again.startswith("Added 0 samples with 0 segments")
    assert "2 existed already" in again

    done = studio.run("token", "create", "theo", "--scope", "pairs:read")
    assert done.stdout.count("\n") == 1
    assert "only once" in done.stderr
    with embedded(studio.data) as url, psycopg.connect(url) as db:
        members = db.execute(
            "SELECT name FROM users JOIN memberships ON user_id = users.id ORDER BY name"
        )
        assert members.fetchall() == [("lin",), ("theo",)]
        row = db.execute("SELECT password_hash FROM users WHERE name = 'lin'").fetchone()
        assert row
        assert row[0].startswith("$argon2id$")

    assert "no pair" in studio.refused("export", "lectures", str(jsonl.parent / "trl")).lower()
    assert not (jsonl.parent / "trl").exists()


def test_an_export_takes_filters_says_what_it_leaves_out_and_streams(
    studio: Studio, jsonl: Path, tmp_path: Path
) -> None:
    studio.ok("project", "add", "leaving")
    studio.ok("import", "leaving", str(jsonl))
    with embedded(studio.data) as url:
        engine = make_engine(url)
        with Session(engine) as db, db.begin():
            ours = select(Sample).join(Project, Project.id == Sample.project_id)
            samples = db.scalars(ours.where(Project.name == "leaving").order_by(Sample.id)).all()
            add_pair(db, sample=samples[0], number=1, text="Better one.\n\n")
            add_pair(db, sample=samples[1], number=1, text="Bell \x07 one.\n\n")
        engine.dispose()

    looked = studio.ok("export", "leaving", "--dry-run")
    assert looked.startswith("1 of 2 matching pairs would be written.")
    assert "1 left out by control" in looked

    out = tmp_path / "out"
    done = studio.run("export", "leaving", str(out), "--format", "raw", "--allow", "control")
    assert done.stdout == f"Wrote 2 pairs and 1 images to {out}.\n"
    again = studio.run("export", "leaving", str(out), "--kind", "rewrite", "--on-policy")
    assert again.stdout == f"Wrote 1 pairs and 1 images to {out}.\n"
    assert "Left out 1 (control)" in again.stderr
    assert {path.name for path in out.iterdir()} >= {"metadata.jsonl", "manifest.yaml"}

    rows = studio.run("export", "leaving", "-", "--format", "raw", "--limit-per-sample", "1")
    (line,) = rows.stdout.splitlines()
    assert json.loads(line)["chosen"] == "Better one.\n\n"

    assert "--since: It must be a day such as" in studio.refused(
        "export", "leaving", "x", "--since", "now"
    )
    assert "--since: The value is missing" in studio.refused(
        "export", "leaving", "x", "--since", ""
    )
    assert "No pair matches the filters" in studio.refused("export", "leaving", "x", "--tag", "no")


def test_no_command_leaves_a_database_running(tmp_path: Path) -> None:
    Studio(tmp_path / "data").ok("migrate")
    assert running_url(tmp_path / "data") is None


def test_what_cannot_be_done_is_a_sentence_and_status_1(studio: Studio, tmp_path: Path) -> None:
    assert "no account named nobody" in studio.refused("user", "invite", "nobody")
    assert "no project named nowhere" in studio.refused("import", "nowhere", str(tmp_path))
    assert "does not exist" in studio.refused("backup", str(tmp_path / "none" / "b.tar"))
    studio.ok("user", "add", "twice")
    assert "An account named twice already exists" in studio.refused("user", "add", "twice")
    assert "10 characters" in studio.run("user", "add", "x", "--password", stdin="short\n").stderr


def test_wrong_usage_is_status_2(studio: Studio) -> None:
    assert "No such command 'sevre'" in studio.refused("sevre", status=2)
    assert "Missing argument" in studio.refused("import", status=2)
    assert "not one of" in studio.refused("user", "add", "x", "--role", "king", status=2)
    done = studio.run("migrate", ITERDPO_PORT="banana")
    assert done.returncode == 2
    assert "ITERDPO_PORT: Input should be a valid integer" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_import_says_which_rule_it_chose(studio: Studio, jsonl: Path) -> None:
    studio.ok("project", "add", "choosing")
    done = studio.run("import", "choosing", str(jsonl))
    assert "cut before slide headings from now on: that fits 2 of the 2 outputs" in done.stderr
    studio.ok("project", "add", "chosen", "--rule", "paragraphs")
    assert "from now on" not in studio.run("import", "chosen", str(jsonl)).stderr
    assert "auto" in studio.refused("project", "add", "wrong", "--rule", "groups", status=2)


def test_errors_in_an_import_name_file_line_and_field(
    studio: Studio, jsonl: Path, tmp_path: Path
) -> None:
    studio.ok("project", "add", "broken")
    broken = tmp_path / "broken.jsonl"
    broken.write_text(jsonl.read_text() + '{"id": "x", "images": []}\n', encoding="utf-8")
    said = studio.refused("import", "broken", str(broken))
    assert "Nothing was imported" in said
    assert "broken.jsonl, line 3, instruction" in said
    with embedded(studio.data) as url, psycopg.connect(url) as db:
        count = db.execute(
            "SELECT count(*) FROM samples JOIN projects ON project_id = projects.id "
            "WHERE projects.name = 'broken'"
        ).fetchone()
    assert count == (0,)


def test_a_backup_moves_a_studio_to_another_directory(studio: Studio, tmp_path: Path) -> None:
    studio.ok("user", "add", "kept")
    file = tmp_path / "b.tar"
    assert studio.ok("backup", str(file)).startswith("Saved the database, ")
    other = Studio(tmp_path / "other")
    assert other.ok("restore", str(file)).startswith("Restored the database, ")
    assert "An account named kept already exists" in other.refused("user", "add", "kept")
    assert "--force" in other.refused("restore", str(file))
    assert "no intact backup" in other.refused("restore", str(ROOT / "LICENSE"), "--force")


def test_a_database_that_does_not_answer_is_a_message(studio: Studio) -> None:
    done = studio.run("migrate", DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    assert done.returncode == 1
    assert "The database does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_ones_own_is_migrated_only_on_request(
    studio: Studio, server_url: str
) -> None:
    with psycopg.connect(server_url, autocommit=True) as db:
        db.execute("CREATE DATABASE bare")
    url = server_url.replace("/iterdpo?", "/bare?")
    refused = studio.run("user", "add", "ada", DATABASE_URL=url)
    assert refused.returncode == 1
    assert "iterdpo migrate" in refused.stderr
    assert studio.run("migrate", "--check", DATABASE_URL=url).returncode == 0
    assert studio.run("user", "add", "ada", DATABASE_URL=url).returncode == 0


def test_an_export_takes_every_format_and_a_model_of_ones_own(
    studio: Studio, jsonl: Path, tmp_path: Path
) -> None:
    studio.ok("project", "add", "judged")
    studio.ok("import", "judged", str(jsonl))
    with embedded(studio.data) as url:
        engine = make_engine(url)
        with Session(engine) as db, db.begin():
            ours = select(Sample).join(Project, Project.id == Sample.project_id)
            sample = db.scalars(ours.where(Project.name == "judged").order_by(Sample.id)).first()
            assert sample is not None
            user = add_user(db)
            desk = Desk(db, add_draft(db, sample=sample, user=user), user)
            desk.accept(1)
        engine.dispose()
    tiny = model(tmp_path / "tiny", SMALL)
    out = tmp_path / "kto"
    looked = studio.ok("export", "judged", "--format", "kto", "--dry-run")
    assert looked == "1 of 1 matching judgements would be written.\n"
    done = studio.ok("export", "judged", str(out), "--format", "kto", "--model", str(tiny))
    assert done == f"Wrote 1 judgements and 1 images to {out}.\n"
    (row,) = (out / "metadata.jsonl").read_text().splitlines()
    assert json.loads(row)["prompt"].startswith("<turn user>")
    assert "| project | judged |" in (out / "README.md").read_text()
    assert "cannot be filtered by kind" in studio.refused(
        "export", "judged", str(out), "--format", "kto", "--kind", "insert"
    )
    assert "more than one file" in studio.refused("export", "judged", "-", "--format", "sft")
    assert "has no outputs yet" in studio.refused("export", "judged", "x", "--format", "sft")
    assert "marks images with" in studio.refused(
        *("export", "judged", "x", "--format", "llamafactory-exact", "--model", str(tiny))
    )
    create = ("snapshot", "create", "judged")
    made = studio.run(*create, "own", "--format", "kto", "--model", str(tiny))
    assert made.returncode == 0, made.stderr
    assert "own\tready\t1\tkto\t" in studio.ok("snapshot", "list", "judged")


def test_help_needs_no_database(studio: Studio) -> None:
    for words in ([], ["import"]):
        assert "Usage: iterdpo" in studio.ok(*words, "--help")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--where", "on_policy", "--where on_policy: The value is missing"),
        ("--where", "since=", "--where since: The value is missing"),
        ("--allow", "retracted", "--allow: What the check"),
    ],
)
def test_a_filter_without_a_value_makes_no_snapshot(
    studio: Studio, option: str, value: str, said: str
) -> None:
    assert said in studio.refused("snapshot", "create", "frozen", "x", option, value)


def test_a_snapshot_is_made_listed_compared_and_deleted(studio: Studio, tmp_path: Path) -> None:
    studio.ok("migrate")
    with embedded(studio.data) as url, vault(url, studio.data, name="frozen") as kept:
        kept.fill(3)
        done = studio.run("snapshot", "create", "frozen", "one", "--validation", "0.5")
        assert done.returncode == 0, done.stderr
        content = done.stdout.strip()
        assert re.fullmatch("[0-9a-f]{64}", content)
        assert "File: " in done.stderr
        again = studio.ok("snapshot", "create", "frozen", "two", "--validation", "0.5")
        assert again.strip() == content
        listed = [line.split("\t") for line in studio.ok("snapshot", "list", "frozen").splitlines()]
        assert [line[:5] for line in listed] == [
            ["two", "ready", "6", "trl", content],
            ["one", "ready", "6", "trl", content],
        ]
        assert Path(listed[0][5]).is_file()
        kept.fill(1)
        said = studio.run("snapshot", "create", "frozen", "small", "--test", "0.0001").stderr
        assert said.splitlines()[:2] == [
            "train: 8 rows, 4 samples, 8 images.",
            "test: 0 rows, 0 samples, 0 images.",
        ]
        studio.ok("snapshot", "create", "frozen", "three", "--where", "kind=rewrite")
        changes = studio.ok("snapshot", "diff", "frozen", "one", "three", "--ids", "1").splitlines()
        assert [line.split("\t")[:2] for line in changes][:3] == [
            ["same", changes[0].split("\t")[1]],
            ["added", "2"],
            ["removed", "0"],
        ]
        assert "A worker will build it" in studio.ok(
            "snapshot", "create", "frozen", "four", "--no-wait"
        )
        assert studio.ok("snapshot", "delete", "frozen", "one") == "Deleted the snapshot one.\n"
        assert not Path(listed[1][5]).exists()
        Path(listed[0][5]).unlink()
        assert "\tfile missing\t" in studio.ok("snapshot", "list", "frozen")
        for words, said in (
            (("create", "frozen", "two"), "already"),
            (("create", "frozen", "x", "--where", "colour=red"), "no such filter"),
            (("create", "frozen", "x", "--where", "kind=insert"), "No pair matches"),
            (("create", "frozen", "y", "--test", "1.5"), "below 1"),
            (("diff", "frozen", "two", "four"), "not ready"),
            (("delete", "frozen", "nothing"), "no snapshot named"),
        ):
            assert said in studio.refused("snapshot", *words)
