"""`python -m tasks doctor`, as typed: what it says, what it writes, and how it refuses."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.doctor.delivered import delivered, sample
from tasks.doctor.diagnosis import Diagnosis, diagnose
from tasks.doctor.facts import alike
from tasks.doctor.findings import findings_of
from tasks.doctor.page import render
from tasks.doctor.report import report_of
from tasks.errors import BadInput
from tasks.ingest.log_format import LogFormat
from tasks.settings import Settings
from tests.command_line import in_this_process
from tests.small_shop import NIGHT, deliver_catalogue, deliver_log

DAYS = 8
HEADER = "Bestellnummer;Bestelldatum;Artikelnummer;Bezeichnung;Kundennummer\n"


def spreadsheet(folder: Path, orders: int = 40) -> Path:
    """Order lines as a German spreadsheet leaves them: products of an order are of one group of three."""
    random, lines = np.random.default_rng(0), []
    for order in range(orders):
        day, group = 1 + order // 5, order % 4
        for product in random.permutation(3)[:2]:
            id_ = f"0{group}{product}"
            lines.append(
                f"B{order};{day:02d}.06.2017 1{order % 10}:00;{id_};Gießkanne {group} {product};K{order % 7}\n"
            )
    file = folder / "Bestellpositionen.csv"
    file.write_bytes((HEADER + "".join(lines) + "B1;nie;001;Löffel;K1\n").encode("cp1252"))
    return file


def binary(folder: Path) -> Path:
    (folder / "orders.xlsx").write_bytes(b"PK\x03\x04rest")
    return folder / "orders.xlsx"


def looked_at(log: Path, catalogue: Path | None = None, days: int = 31, mib: int = 64) -> Diagnosis:
    return diagnose(log, catalogue, Settings(), mib, days)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in folders of days and a catalogue, whose ids have lost their zeros."""
    folder = tmp_path_factory.mktemp("shop")
    deliver_log(folder / "clicks", NIGHT - timedelta(days=DAYS - 1), sessions_a_day=40)
    deliver_catalogue(folder / "catalogue.parquet")
    (folder / "clicks" / f"date={NIGHT}" / "_SUCCESS").touch()
    return folder


@pytest.fixture(scope="module")
def found(shop: Path) -> Diagnosis:
    return looked_at(shop / "clicks", shop / "catalogue.parquet")


def test_a_log_of_our_own_contract_needs_no_format(found: Diagnosis) -> None:
    assert found.log.proposal.format == {}
    assert found.trial.accepted == found.trial.rows == DAYS * 40 * 4
    assert found.forecast
    assert found.forecast.night == NIGHT
    assert found.products
    assert found.forecast.products == found.products.products.num_rows
    assert found.forecast.from_clicks > 0
    assert found.forecast.from_clicks + found.forecast.from_titles + found.forecast.neither == found.forecast.products
    assert not [finding for finding in findings_of(found) if finding.level == "stops a night"]
    assert found.log.delivered.ignored == [f"date={NIGHT}/_SUCCESS"]


def test_the_forecast_is_what_a_night_counts(found: Diagnosis) -> None:
    """A pair counts where two sessions or more hold both: counted here in the slow, obvious way."""
    assert found.facts
    assert found.forecast
    together: dict[tuple[str, str], int] = {}
    for day in found.facts.by_day:
        text = (found.log.delivered.root / f"date={day}" / "log.csv").read_text().splitlines()[1:]
        sessions: dict[str, set[str]] = {}
        for line in text:
            _, session, product = line.split(",")
            sessions.setdefault(session, set()).add(product)
        for held in sessions.values():
            for pair in ((one, other) for one in held for other in held if one != other):
                together[pair] = together.get(pair, 0) + 1
    pairs = {pair for pair, times in together.items() if times >= 2}
    assert found.forecast.pairs == len(pairs)
    assert found.forecast.from_clicks == len({one for one, _ in pairs})


def test_a_spreadsheet_is_recognised_and_its_formats_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, written = spreadsheet(tmp_path), tmp_path / "log_format.json"
    ended = in_this_process("tasks", "doctor", "--log", str(file), "--write", str(written))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("A night would run: 80 (99%) of 81 rows are accepted")
    assert json.loads(written.read_text()) == {
        "encoding": "cp1252", "delimiter": ";", "time_format": "%d.%m.%Y %H:%M",
        "columns": {"event_time": "Bestelldatum", "product_id": "Artikelnummer", "session_id": "Bestellnummer",
                    "user_id": "Kundennummer"},
    }  # fmt: skip
    assert json.loads((tmp_path / "catalogue_format.json").read_text())["columns"]["title"] == "Bezeichnung"
    for said in ("1 (1%) rows have a time that cannot be read", "(100%) product ids begin with a zero", "German"):
        assert said in ended.stdout
    first = ended.stdout.partition("\nNext\n")[2].splitlines()[0]
    names, _, command = first.partition("python -m ")
    given = dict(name.split("=") for name in names.split())
    assert given == {"LOG_FORMAT": str(written), "CATALOGUE_FORMAT": str(tmp_path / "catalogue_format.json")}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    words = [word.replace("var/", f"{tmp_path}/var/") for word in command.split()]
    assert "days 8, rows 81, rows_without_a_time 1" in in_this_process(*words).stdout
    monkeypatch.delenv("LOG_FORMAT")
    monkeypatch.delenv("CATALOGUE_FORMAT")
    split = looked_at(tmp_path / "var" / "clicks", tmp_path / "var" / "catalogue.parquet")
    assert (split.trial.rows, split.trial.accepted) == (81, 80)
    assert split.products
    assert set(split.products.products["product_id"].to_pylist()) == {f"0{n}{m}" for n in range(4) for m in range(3)}


@pytest.mark.parametrize(
    ("make", "words", "said"),
    [
        (lambda folder: folder / "nothing", (), "must be a file or a folder, but is not there"),
        (lambda folder: folder, (), "must hold files, but has none"),
        (spreadsheet, ("--write", "{file}"), "must not be there yet"),
        (binary, (), "is a spreadsheet or a zip archive: save it as CSV"),
    ],
)  # fmt: skip
def test_wrong_input_is_told_in_words(make, words, said: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = make(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    ended = in_this_process("tasks", "doctor", "--log", str(file), *(word.format(file=file) for word in words))
    assert ended.returncode == 1
    assert ended.stderr.startswith("BadInput: ")
    assert said in ended.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_format_that_is_set_is_looked_at(tmp_path: Path) -> None:
    file, given = spreadsheet(tmp_path), tmp_path / "given.json"
    columns = {"event_time": "Bestelldatum", "product_id": "Artikelnummer", "session_id": "Kundennummer"}
    said = {"columns": columns, "delimiter": ";", "encoding": "cp1252", "time_format": "%d.%m.%Y %H:%M"}
    given.write_text(json.dumps(said))
    found = diagnose(file, None, Settings().model_copy(update={"log_format": given}), 64, 31)
    assert {guess.ours: guess.theirs for guess in found.log.proposal.columns} == columns
    assert found.facts
    assert found.facts.sessions.largest[0].startswith("K")
    report = report_of(found, file, None)
    assert list(report.files) == ["CATALOGUE_FORMAT"]
    assert "LOG_FORMAT is set, and is used." in report.sections[0].said
    assert "--write log_format.json" in report.commands[0]
    assert any(f"LOG_FORMAT={given} " in command for command in report.commands)


def test_columns_that_nothing_looks_like_stop_a_night_and_are_named(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("a,b\nx,1\ny,2\n")
    found = looked_at(file)
    said = [finding.what for finding in findings_of(found) if finding.level == "stops a night"]
    assert said == [
        "no column of the log looks like event_time, product_id, session_id or user_id; its columns are a, b"
    ]


def test_ids_that_differ_in_form_alone_are_told_with_both(shop: Path, tmp_path: Path) -> None:
    table = pq.read_table(shop / "catalogue.parquet")
    other = pa.table({"product_id": [f"SKU-{id_}" for id_ in table["product_id"].to_pylist()], "title": table["title"]})
    pq.write_table(other, tmp_path / "catalogue.parquet")
    found = looked_at(shop / "clicks", tmp_path / "catalogue.parquet", days=2)
    findings = {finding.what: finding for finding in findings_of(found)}
    (form,) = [finding for what, finding in findings.items() if "in another form" in what]
    assert "a prefix or a suffix" in form.what
    assert all("clicked, 'SKU-" in example for example in form.examples)
    assert any("clicks are on products that the catalogue lacks" in what for what in findings)


def test_forms_of_ids() -> None:
    clicked = ["A1\u00a0", "b2", "007", "41.0", "1.041453E7", "SKU-5123", "nowhere"]
    listed = ["A1", "B2", "7", "41", "10414530", "5123"]
    found = {one.what: (one.clicks, one.pairs) for one in alike(clicked, [1] * len(clicked), listed)}
    assert found == {
        "blanks around": (1, [("A1\u00a0", "A1")]),
        "upper and lower case": (1, [("b2", "B2")]),
        "zeros in front": (1, [("007", "7")]),
        "a number written in another way": (2, [("41.0", "41"), ("1.041453E7", "10414530")]),
        "a prefix or a suffix": (1, [("SKU-5123", "5123")]),
    }


def test_of_a_large_log_the_newest_days_are_looked_at(shop: Path, tmp_path: Path) -> None:
    there = delivered(shop / "clicks")
    assert len(there.days) == DAYS
    newest = sample(there, 1 << 30, 3, tmp_path)
    assert [file.day for file in newest.files] == there.days[-3:]
    assert newest.said == "a sample: 3 of 8 files, of the newest 3 of 8 days"
    by_size = sample(there, 2 * there.files[0].size + 100, 31, tmp_path)
    assert [file.day for file in by_size.files] == there.days[-2:]
    found = looked_at(shop / "clicks", days=3)
    assert list(found.trial.days) == there.days[-3:]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_is_too_large_is_cut_at_a_row(suffix: str, tmp_path: Path) -> None:
    file, rows = tmp_path / f"log{suffix}", 100_000
    times = [datetime(2017, 6, 30, 10, n % 60) for n in range(rows)]
    table = pa.table(
        {"event_time": times, "session_id": [f"session {n // 4}" for n in range(rows)], "product_id": range(rows)}
    )
    if suffix == ".csv":
        import pyarrow.csv as pa_csv

        pa_csv.write_csv(table, file)
    else:
        pq.write_table(table, file, compression="none", use_dictionary=False, row_group_size=1 << 16)
    found = looked_at(file, mib=1)
    assert found.log.sample.said.startswith("a sample: the first 1 MiB of ")
    assert 5_000 < found.trial.rows < rows
    assert found.trial.accepted == found.trial.rows


def test_a_night_that_breaks_off_and_hours_of_another_zone(tmp_path: Path) -> None:
    random, lines = np.random.default_rng(1), ["event_time,session_id,product_id"]
    for day in range(1, 12):
        for session in range(150 if day < 11 else 20):
            hour = int(random.normal(22, 3)) % 24  # afternoons of Los Angeles
            lines += [f"2017-06-{day:02d} {hour:02d}:00:00,s{day}-{session},p{n}" for n in random.permutation(9)[:2]]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    found = looked_at(tmp_path / "log.csv")
    assert found.night == date(2017, 6, 10)
    said = " / ".join(finding.what for finding in findings_of(found))
    assert "the last day, 2017-06-11, has 40 clicks, a fraction of the days before" in said
    assert "those of a shop at UTC-" in said


@pytest.mark.parametrize("offset", [-7, 2])
def test_folders_cut_at_local_midnight_are_asked_for_their_zone(offset: int, tmp_path: Path) -> None:
    for day in (date(2017, 6, 29), date(2017, 6, 30)):
        begin = datetime.combine(day, datetime.min.time()) - timedelta(hours=offset)
        times = [begin + timedelta(minutes=10 * n + 1) for n in range(144)]
        lines = [f"{time.isoformat()},s{n // 4},p{n % 9}" for n, time in enumerate(times)]
        (tmp_path / f"date={day}").mkdir()
        (tmp_path / f"date={day}" / "log.csv").write_text("\n".join(["event_time,session_id,product_id", *lines]))
    found = looked_at(tmp_path)
    (said,) = [finding for finding in findings_of(found) if "of another UTC day than their folder's" in finding.what]
    assert f"cut at midnight of UTC{offset:+d}" in said.do
    assert found.night == date(2017, 6, 30)


def test_days_that_cannot_be_are_told_and_no_night_is_of_them(tmp_path: Path) -> None:
    days = ["0001-01-02", *(f"2017-06-{day:02d}" for day in range(1, 10)), "2999-01-01"]
    lines = [f"{day} 10:00:00,s,p{n}" for day in days for n in range(3)]
    (tmp_path / "log.csv").write_text("\n".join(["event_time,session_id,product_id", *lines]))
    found = looked_at(tmp_path / "log.csv")
    assert found.night == date(2017, 6, 9)
    (said,) = [finding for finding in findings_of(found) if "or after today" in finding.what]
    assert said.what.startswith("6 (18%) clicks are of days before 1990-01-01")
    assert found.facts
    assert found.facts.gaps == []


def test_sessions_that_are_events_make_no_pair(tmp_path: Path) -> None:
    lines = [f"2017-06-{1 + n % 9:02d} 10:00:00,s{n},p{n % 5}" for n in range(90)]
    (tmp_path / "log.csv").write_text("\n".join(["event_time,session_id,product_id", *lines]))
    said = [
        finding.what for finding in findings_of(looked_at(tmp_path / "log.csv")) if finding.level == "stops a night"
    ]
    assert any("90 (100%) sessions hold one product alone" in what for what in said)
    assert any("no pair of products is shared by MIN_SUPPORT (2) sessions" in what for what in said)


def test_the_page_says_the_same_and_needs_nothing_beside_it(found: Diagnosis, shop: Path) -> None:
    report = report_of(found, shop / "clicks", shop / "catalogue.parquet")
    page = render(report)
    assert report.headline in page
    assert all(finding.what in page.replace("&#39;", "'") for finding in report.findings)
    assert "http" not in page
    assert "<script" not in page
    hostile = LogFormat().sources_of("event_time")[0] + "<script>"
    report.sections[0].rows = [[hostile]]  # type: ignore[misc]
    assert "<script" not in render(report)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = spreadsheet(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    assert in_this_process("tasks", "doctor", "--log", str(file)).returncode == 0
    assert [left.name for left in (tmp_path / "tmp").iterdir() if not left.name.endswith("lock")] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Bestellpositionen.csv", "tmp"]


def test_a_folder_of_a_day_is_told_where_files_are_not_dated(tmp_path: Path) -> None:
    (tmp_path / "dt=2017-06-30").mkdir()
    (tmp_path / "dt=2017-06-30" / "log.csv").write_text("event_time,session_id,product_id\n2017-06-30 10:00,s,p\n")
    with pytest.raises(BadInput, match="is not there"):
        delivered(tmp_path / "nowhere")
    assert delivered(tmp_path).other_days == "dt=2017-06-30"
