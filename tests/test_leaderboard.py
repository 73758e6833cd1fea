"""The site over run folders: the same bytes in any order, whole or not at all, harmless whatever the runs hold."""

import copy
import html.parser
import json
import re
from pathlib import Path

import pytest

from rlvr_counts.importer import CountsImporter
from rlvr_harness import ImportRequest
from rlvr_harness.assembling import results_of_counts
from rlvr_harness.errors import RunFolderError
from rlvr_harness.leaderboard import Choices, build_site
from rlvr_harness.leaderboard.site import TITLE
from tests.leaderboard_fakes import HOSTILE, bytes_of, data_of, results, single, site_of, write_runs

DOCS = Path(__file__).parent.parent / "docs" / "leaderboard.md"


class Page(html.parser.HTMLParser):
    """The tags of a page, and its links."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.links, self.attributes = [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.links += [value for name, value in attrs if name in ("href", "src")]


def own_pages(site):
    return [path for path in site.rglob("*.html") if "runs" not in path.relative_to(site).parts]


def test_folders_in_any_order_and_anywhere_give_the_same_bytes(tmp_path):
    contents = [results("org/m1", 0.1), results("org/m2", 0.1), results("org/m3", task="aime24")]
    first = site_of(tmp_path / "one", *contents)
    second = site_of(tmp_path / "two", *contents[::-1])
    assert bytes_of(first) == bytes_of(second)
    assert str(tmp_path) not in "".join(path.read_text(encoding="utf-8") for path in own_pages(first))


def test_a_site_has_all_its_pages_and_every_link_leads_to_a_file(tmp_path):
    site = site_of(tmp_path, results("a/b"), results("a_b", 0.2), results("org/m", task="aime24"))
    names = set(bytes_of(site))
    assert {"index.html", "data.json", "data.csv", ".nojekyll", "assets/leaderboard.js"} <= names
    assert data_of(site)["files"] == sorted(names)
    assert len([name for name in names if name.startswith("models/")]) == 4
    assert len([name for name in names if name.startswith("tasks/")]) == 2
    for path in own_pages(site):
        for link in Page(path).links:
            target = link.partition("#")[0]
            assert link == "data:," or not re.match(r"[a-z]+:|/", link)
            assert link == "data:," or not target or (path.parent / target).resolve().is_file(), link


def test_a_row_prints_its_command_and_links_to_a_report_and_its_results(tmp_path):
    content = results()
    site = site_of(tmp_path, content)
    [row] = data_of(site)["rows"]
    page = (site / "index.html").read_text(encoding="utf-8")
    assert content["run"]["command"] in page
    assert row["run"]["report"] in page
    assert "pass@k" in (site / row["run"]["report"]).read_text(encoding="utf-8")
    assert json.loads((site / row["run"]["results"]).read_text()) == content


def test_the_report_is_made_anew_and_never_copied(tmp_path):
    folders = write_runs(tmp_path, results())
    (folders[0] / "report.html").write_text("<script>theirs</script>")
    build_site(folders, tmp_path / "site", Choices())
    assert not [name for name, content in bytes_of(tmp_path / "site").items() if b"theirs" in content]


def test_a_title_and_a_date_stand_on_the_site_when_given(tmp_path):
    site = site_of(tmp_path / "with", results(), title="<Ours>", date="2026-05-02")
    page = (site / "index.html").read_text(encoding="utf-8")
    assert "<h1>&lt;Ours&gt;</h1>" in page
    assert "2026-05-02" in page
    assert (data_of(site)["title"], data_of(site)["date"]) == ("<Ours>", "2026-05-02")
    plain = data_of(site_of(tmp_path / "without", results()))
    assert (plain["title"], plain["date"]) == (TITLE, None)


def hostile():
    content = results(HOSTILE, task=HOSTILE, base=f"b{HOSTILE}")
    run, task = content["run"], content["tasks"][HOSTILE]
    run |= {"title": HOSTILE, "command": HOSTILE, "harness_version": HOSTILE, "created": HOSTILE}
    run["sampling"]["prompt"] = run["sampling"]["plan"] = HOSTILE
    run["models"]["model"]["weight_hash"] = HOSTILE
    run["tasks"][HOSTILE] |= {"verifier": HOSTILE, "verifier_version": HOSTILE, "data_hash": HOSTILE}
    task["comparison"]["fairness"]["warnings"] = [HOSTILE]
    task["comparison"]["crossover"]["verdict"] = HOSTILE
    return content


def test_hostile_names_stay_text_and_inside_the_site(tmp_path):
    site = site_of(tmp_path, hostile(), results())
    for path in own_pages(site):
        page = Page(path)
        assert page.tags.count("script") == 1, path
        assert not {"img", "iframe", "object", "style"} & set(page.tags)
        assert not [name for name in page.attributes if name.startswith("on") or name == "style"]
        assert "default-src 'none'" in path.read_text(encoding="utf-8")
    assert '<script src="http://evil' not in "".join(p.read_text(encoding="utf-8") for p in site.rglob("*.html"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "site"]
    assert "49" not in Page(site / "index.html").links


def test_broken_and_odd_values_leave_gaps_and_no_fault(tmp_path):
    content = results()
    content["run"] = {"command": "rlvr-harness run 'unclosed", "models": [], "sampling": 3, "tasks": "x"}
    task = content["tasks"]["math500"]
    task["comparison"] |= {
        "crossover": [],
        "coverage": None,
        "support": "x",
        "delta_se": 1,
        "fairness": {"warnings": 2},
    }
    task["models"]["model"] |= {"plan": [], "counts": {"n": "x"}, "truncated_share": "much", "name": 7}
    empty = {"schema": "rlvr-harness/results/1", "tasks": {"t": {"models": {"model": {"pass_at_k": {}}}}}}
    rows = data_of(site_of(tmp_path, content, empty, single()))["rows"]
    assert [row["rank"] for row in rows] == [None] * 3
    assert {row["unranked_because"] for row in rows} == {"conditions unknown", "no base to compare with"}


REFUSED = {
    "no results": (None, r"run1 holds no results\.json; is it a run folder"),
    "broken": ('{"schema": ', r"run1.results\.json is damaged: Expecting value"),
    "no object": ("[1]", r"run1.results\.json is damaged: not a JSON object"),
    "not finite": ('{"schema": "rlvr-harness/results/1", "tasks": {"t": {"a": 1e999}}}', r"1e999 is no finite number"),
    "nan": ('{"a": NaN}', r"NaN is no finite number"),
    "too deep": ("[" * 100_000, r"run1.results\.json is damaged: nested too deeply"),
    "other schema": ('{"schema": "rlvr-harness/results/2"}', r"schema 'rlvr-harness/results/2'; a leaderboard reads"),
    "no schema": ("{}", r"run1.results\.json has no schema"),
    "no task": ('{"schema": "rlvr-harness/results/1", "tasks": {}}', r"run1.results\.json holds results of no task"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_cannot_be_shown_is_named_and_the_site_stays_as_it_was(tmp_path, case):
    content, message = REFUSED[case]
    site = site_of(tmp_path, results())
    before = bytes_of(tmp_path)
    [good, bad] = [tmp_path / "runs" / "run0", tmp_path / "runs" / "run1"]
    if content is not None:
        bad.mkdir()
        (bad / "results.json").write_text(content)
        before |= {"runs/run1/results.json": content.encode()}
    with pytest.raises(RunFolderError, match=message) as caught:
        build_site([good, bad], site, Choices())
    assert "\n" not in str(caught.value)
    assert bytes_of(tmp_path) == before


def renewed():
    """The same run at a later state: read again by another version, more samples, the same largest k."""
    content = copy.deepcopy(results())
    content["run"] |= {"harness_version": "9", "timings": {"wall_s": 3}}
    content["run"]["sampling"]["n"] = 50
    return content


@pytest.mark.parametrize(
    "second", [results(), renewed(), dict(reversed(results().items()))], ids=["copy", "later", "keys"]
)
def test_the_same_run_twice_is_refused_naming_both_folders(tmp_path, second):
    folders = write_runs(tmp_path, results(), second)
    with pytest.raises(RunFolderError, match=r"run1 holds the same run as .*run0; give each run once"):
        build_site(folders, tmp_path / "site", Choices())
    assert not (tmp_path / "site").exists()


def test_an_earlier_site_is_replaced_whole(tmp_path):
    site = site_of(tmp_path, results("org/old"), results("org/new"))
    build_site([tmp_path / "runs/run1"], site, Choices())
    fresh = site_of(tmp_path / "fresh", results("org/new"))
    assert bytes_of(site) == bytes_of(fresh)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "runs", "site"]


@pytest.mark.parametrize("name", ["notes.txt", "data.json", "index.html", "sub/deep.txt"])
def test_a_folder_that_is_no_site_of_ours_is_never_touched(tmp_path, name):
    place = tmp_path / "site" / name
    place.parent.mkdir(parents=True)
    place.write_text("{}")
    with pytest.raises(RunFolderError, match="is not empty and holds no leaderboard of ours"):
        site_of(tmp_path, results())
    assert bytes_of(tmp_path / "site") == {name: b"{}"}


def test_a_site_with_a_file_of_the_users_is_not_replaced(tmp_path):
    site = site_of(tmp_path, results())
    (site / "models" / "mine.md").write_text("mine")
    before = bytes_of(site)
    with pytest.raises(RunFolderError, match=r"holds models/mine\.md, which is not of the site; move it"):
        build_site([tmp_path / "runs/run0"], site, Choices())
    assert bytes_of(site) == before


def test_an_empty_folder_may_become_a_site_and_a_file_may_not(tmp_path):
    (tmp_path / "site").mkdir()
    assert (site_of(tmp_path, results()) / "index.html").is_file()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunFolderError, match="is a file; name a folder"):
        build_site([tmp_path / "runs/run0"], tmp_path / "file", Choices())
    assert (tmp_path / "file").read_text() == "mine"


def test_when_the_swap_fails_the_earlier_site_comes_back(tmp_path, monkeypatch):
    site = site_of(tmp_path, results("org/old"))
    before = bytes_of(site)
    rename = Path.rename

    def failing(self, target):
        if self.name == "site" and self != site.resolve():
            raise OSError(28, "No space left on device")
        return rename(self, target)

    [folder] = write_runs(tmp_path / "more", results("org/new"))
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(RunFolderError, match="cannot write the site: No space left on device"):
        build_site([folder], site, Choices())
    assert bytes_of(site) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["more", "runs", "site"]


def test_the_command_says_what_it_wrote(tmp_path, cli):
    folders = write_runs(tmp_path, results("org/m1"), results("org/m2", 0.2), single())
    status, out, err = cli("leaderboard", *folders, "-o", tmp_path / "site", "--title", "Ours", "--without", "demo")
    assert (status, err) == (0, "")
    assert out.splitlines() == ["3 rows, 2 of them ranked, in 2 tables", f"site: {tmp_path / 'site' / 'index.html'}"]
    assert cli("leaderboard", tmp_path / "none", "-o", tmp_path / "site")[0] == 1
    assert cli("leaderboard", *folders)[0] == 2


def test_imported_counts_stand_apart_and_unranked(tmp_path):
    files = {role: tmp_path / f"{role}.csv" for role in ("base", "model")}
    for path in files.values():
        path.write_text("problem_id,n,c\na,4,1\nb,4,0\n")
    request = ImportRequest("math500", files)
    imported = results_of_counts(request, dict(CountsImporter().read(request)), None)
    site = site_of(tmp_path, results(), imported)
    assert [group["kind"] for group in data_of(site)["groups"]] == ["ranked", "published"]
    assert "As published, conditions unknown" in (site / "index.html").read_text(encoding="utf-8")


def test_every_key_of_a_row_is_in_the_docs(tmp_path):
    data = data_of(site_of(tmp_path, results()))
    documented = set(re.findall(r"^\| `([a-z_0-9]+)`", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert documented == set(data) | set(data["rows"][0]) | set(data["groups"][0])
