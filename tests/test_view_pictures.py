"""Pictures in the browser of a run: which are shown, how they are served, and what a page says where there are none."""

import json
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from urllib.request import urlopen

import pytest

from rlvr_harness import FinishReason, LoadedTask, Problem, Sample
from rlvr_harness.profiles import find_profile
from rlvr_harness.registry import Registry
from rlvr_harness.run_store import RunStore
from rlvr_harness.stages.prompting import hash_prompts
from rlvr_harness.viewing.guard import Guard
from rlvr_harness.viewing.index import Index
from rlvr_harness.viewing.pictures import Found, Pictures, content_type, shows_none
from rlvr_harness.viewing.task_pictures import load_pictures
from tests import picture_fakes as made
from tests import view_fakes as fakes
from tests.test_view_server import Tags, asking

PNG, JPEG = made.drawing(), made.drawing("JPEG")
KINDS = {"png": PNG, "jpeg": JPEG, "webp": made.drawing("WEBP"), "gif": made.drawing("GIF")}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>window.hacked=1</script></svg>'
TWO = Found({"p0": (PNG, JPEG), "p1": (SVG, PNG)})


def own_data(data_dir=None):
    return lambda snapshot, task: load_pictures(snapshot, task, data_dir)


def images(page):
    return [(tag["src"], tag["alt"]) for name, tag in Tags(page).tags if name == "img"]


def note(page):
    """The text of the line above the prompt that says why there is no picture."""
    found = re.findall(r'<p class="note">((?:The pictures|Task|Pictures).*?)</p>', page)
    return " ".join(found)


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    """(run folder, its data): one problem for each kind of picture, and a last one whose file is an SVG."""
    top = tmp_path_factory.mktemp("vision")
    data = made.write_data(top / "data", [*KINDS.values(), SVG])
    return made.write_run(top / "run", data), data


@pytest.fixture
def text_run(tmp_path):
    """A run of problems without pictures whose run.json does not tell so by its hash."""
    folder = tmp_path / "r"
    fakes.write_run(folder, problems=2, n=4, commits=1)
    record = fakes.run_json() | {"spec": {"model": "m", "tasks": ["t"], "k": 4}}
    record["tasks"]["t"] |= {"prompt_hash": "0" * 64}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize(("number", "kind"), list(enumerate(KINDS)))
def test_a_picture_is_served_as_what_it_is(vision, number, kind):
    with asking(vision[0], load_pictures=own_data()) as ask:
        page = ask(f"/problem?id={number}")[2]
        ((src, alt),) = images(page)
        status, headers, content = ask(src, raw=True)
    assert alt == f"picture 1 of problem {number}"
    assert (status, headers["Content-Type"], content) == (200, f"image/{kind}", KINDS[kind])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert re.search(r"img-src ('self');", headers["Content-Security-Policy"])
    assert (note(page), f'<a href="{src.replace("&", "&amp;")}"><img' in page) == ("", True)


def test_a_sample_and_the_queue_show_the_pictures_of_their_problems(vision, tmp_path):
    (vision[0] / "audit").mkdir(exist_ok=True)
    line = fakes.queue_line(task="mathvision", model="model", problem_id="2")
    (vision[0] / "audit" / "queue.jsonl").write_text(line)
    with asking(vision[0], load_pictures=own_data()) as ask:
        for path in ("/sample?id=2&model=model&index=1", "/audit"):
            assert [alt for _, alt in images(ask(path)[2])] == ["picture 1 of problem 2"], path
        for path in ("/", "/problems", "/samples", "/verifiers"):
            assert (images(ask(path)[2]), note(ask(path)[2])) == ([], ""), path


def test_pictures_stand_in_their_order_above_the_prompt(text_run):
    with asking(text_run, load_pictures=lambda *_: TWO) as ask:
        page = ask("/problem?id=p0")[2]
        assert [alt for _, alt in images(page)] == ["picture 1 of problem p0", "picture 2 of problem p0"]
        assert [ask(src, raw=True)[2] for src, _ in images(page)] == [PNG, JPEG]
        assert page.index("picture 1 of") < page.index("picture 2 of") < page.index("What is 0?")


def test_an_svg_is_never_served_and_the_page_says_so(text_run):
    with asking(text_run, load_pictures=lambda *_: TWO) as ask:
        page = ask("/problem?id=p1")[2]
        status, headers, answer = ask("/picture?id=p1&number=1")
        assert ask("/picture?id=p1&number=2", raw=True)[2] == PNG
    assert "The file of picture 1 of problem p1 is no PNG, JPEG, WebP or GIF, and is not shown." in page
    assert [alt for _, alt in images(page)] == ["picture 2 of problem p1"]
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "hacked" not in answer


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\x89PNG\n", ""),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"GIF90a", ""),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", ""),
        (b" \x89PNG\r\n\x1a\n", ""),
        (b"<html>GIF89a", ""),
        (b"BM", ""),
        (b"", ""),
    ],
)
def test_the_type_is_read_from_the_first_bytes(content, kind):
    assert content_type(content) == kind


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/picture?id=0", 200),
        ("/picture?id=0&number=0", 404),
        ("/picture?id=0&number=2", 404),
        ("/picture?id=0&number=-1", 400),
        ("/picture?id=0&number=../1", 400),
        ("/picture?id=9", 404),
        ("/picture?id=", 404),
        ("/picture", 404),
        ("/picture?id=../../../../etc/passwd", 404),
        ("/picture?id=images/0", 404),
        ("/picture?id=0&task=../mathvision", 404),
        ("/picture?id=0%00", 404),
        ("/picture/../data/mathvision/testmini.jsonl", 404),
        ("/picture/%2e%2e/data/mathvision/testmini.jsonl", 404),
        ("/picture/mathvision/images/0", 404),
    ],
)
def test_pictures_are_had_by_problem_and_number_alone(vision, address, status):
    with asking(vision[0], load_pictures=own_data()) as ask:
        given, _, content = ask(address, raw=True)
    assert given == status
    assert (content == PNG) == (status == 200)


def test_pictures_are_guarded_like_every_page(vision):
    with asking(vision[0], Guard.make("0.0.0.0", "s3cret"), load_pictures=own_data()) as ask:
        assert ask("/picture?id=0")[0] == 401
        cookie = ask("/", params={"token": "s3cret"})[1]["Set-Cookie"].partition(";")[0]
        assert ask("/picture?id=0", raw=True, headers={"Cookie": cookie})[2] == PNG
    with asking(vision[0], load_pictures=own_data()) as ask:
        assert ask("/picture?id=0", headers={"Host": "evil.example"})[0] == 403
        assert ask("/picture?id=0", "POST")[0] == 405


def test_a_row_that_names_another_file_gives_no_page_that_file(tmp_path):
    """The run itself was given the row: its hash fits, and still nothing but a picture leaves the server."""
    secret = tmp_path / "secret.txt"
    secret.write_text("s3cret")
    data = made.write_data(tmp_path / "data", [PNG, PNG])
    rows = data / "mathvision" / "testmini.jsonl"
    rows.write_text(rows.read_text().replace('"images/0"', json.dumps(str(secret))).replace("images/1", "../../../no"))
    rows.write_text(rows.read_text().splitlines()[0])
    with asking(made.write_run(tmp_path / "run", data), load_pictures=own_data()) as ask:
        page, served = ask("/problem?id=0")[2], ask("/picture?id=0")
    assert served[0] == 404 and "s3cret" not in served[2]
    assert "picture 1 of problem 0 is no PNG" in page


def test_data_that_is_not_at_hand_is_named_and_the_page_reads_on(vision, tmp_path):
    with asking(vision[0], load_pictures=own_data(tmp_path / "gone")) as ask:
        status, _, page = ask("/problem?id=0")
        served = ask("/picture?id=0")
    assert status == 200 and "I see 1:" in page and "How many?" in page
    assert images(page) == [] and served[0] == 404
    assert "gone/mathvision/testmini.jsonl does not exist" in note(page)
    assert "`rlvr-harness view --data_dir DATA` names the folder" in note(page)


def test_data_that_moved_is_found_by_data_dir(vision, tmp_path):
    moved = made.write_data(tmp_path / "moved", [*KINDS.values(), SVG])
    folder = tmp_path / "run"
    with RunStore(folder) as store:
        record = json.loads((vision[0] / "run.json").read_text())
        store.write_json("run.json", record | {"spec": {**record["spec"], "data_dir": "/nowhere"}})
        with Index(vision[0]) as index:
            store.write_problems("mathvision", list(index.snapshot.tasks["mathvision"].problems.values()))
    for data_dir, shown in ((None, []), (moved, ["picture 1 of problem 1"])):
        with asking(folder, load_pictures=own_data(data_dir)) as ask:
            assert [alt for _, alt in images(ask("/problem?id=1")[2])] == shown


@pytest.mark.parametrize("change", ["picture", "question", "fewer"])
def test_data_that_is_not_that_of_the_run_is_not_shown(tmp_path, change):
    data = made.write_data(tmp_path / "data", [PNG, JPEG])
    folder = made.write_run(tmp_path / "run", data)
    rows = data / "mathvision" / "testmini.jsonl"
    if change == "picture":
        (data / "mathvision" / "images" / "1").write_bytes(PNG)
    elif change == "question":
        rows.write_text(rows.read_text().replace('"id": "1"', '"id": "7"'))
    else:
        rows.write_text(rows.read_text().splitlines()[0])
    with asking(folder, load_pictures=own_data()) as ask:
        page = ask("/problem?id=0")[2]
        assert ask("/picture?id=0")[0] == 404
    assert images(page) == []
    assert f"the data in {data} is not that of the run" in note(page)


def test_a_picture_that_is_missing_is_named(tmp_path):
    data = made.write_data(tmp_path / "data", [PNG, JPEG])
    folder = made.write_run(tmp_path / "run", data)
    (data / "mathvision" / "images" / "1").unlink()
    with asking(folder, load_pictures=own_data()) as ask:
        assert "problem &#39;1&#39;: its picture (images/1) is not there" in note(ask("/problem?id=0")[2])


@pytest.mark.parametrize("prompt", ["boxed", "simplerl"])
def test_prompts_of_a_chat_template_and_stop_strings_of_a_profile_do_not_hide_the_pictures(tmp_path, prompt):
    """The template's model need not be at hand: the folder has the prompts, the data the pictures."""
    data = made.write_data(tmp_path / "data", [PNG])
    folder = made.write_run(tmp_path / "run", data, prompt=prompt, chat=lambda text: f"<user><image>{text}<assistant>")
    with asking(folder, load_pictures=own_data()) as ask:
        assert len(images(ask("/problem?id=0")[2])) == 1


@pytest.mark.parametrize("stop", [(), find_profile("simplerl").stop])
def test_a_run_without_pictures_loads_nothing(text_run, stop):
    record = json.loads((text_run / "run.json").read_text())
    record["spec"]["prompt"] = "simplerl"
    problems = [Problem("t", f"p{number}", f"What is {number}?", str(number), stop) for number in range(2)]
    record["tasks"]["t"]["prompt_hash"] = hash_prompts(problems)
    (text_run / "run.json").write_text(json.dumps(record))
    asked = []
    with asking(text_run, load_pictures=lambda *given: asked.append(given)) as ask:
        for path in ("/problem?id=p0", "/sample?id=p0&model=base&index=0", "/audit"):
            assert (ask(path)[0], note(ask(path)[2])) == (200, "")
        assert (ask("/picture?id=p0")[0], asked) == (404, [])
    record["tasks"]["t"]["prompt_hash"] = hash_prompts([replace(problem, images=(PNG,)) for problem in problems])
    (text_run / "run.json").write_text(json.dumps(record))
    with Index(text_run) as index:
        assert not shows_none(index.snapshot, "t")  # the same prompts with pictures


def test_an_imported_run_and_a_task_of_lm_evals_own_have_no_pictures(text_run, tmp_path):
    fakes.write_run(tmp_path / "imported", problems=1, n=2, commits=1)
    with Index(tmp_path / "imported") as index:
        assert shows_none(index.snapshot, "t")
    record = json.loads((text_run / "run.json").read_text())
    record["tasks"]["t"]["data_revision"] = "lm-eval openai/gsm8k version 3.0"
    (text_run / "run.json").write_text(json.dumps(record))
    with Index(text_run) as index:
        assert load_pictures(index.snapshot, "t", None) == Found()


def test_a_task_that_no_plugin_offers_is_named(text_run):
    with asking(text_run, load_pictures=own_data()) as ask:
        status, _, page = ask("/problem?id=p0")
    assert status == 200 and "What is 0?" in page
    assert note(page).startswith("Task &#39;t&#39; may show pictures: no plugin installed here offers it")


class Drawn:
    """A task of a plugin that makes its pictures itself; `fault` is raised instead."""

    name, description = "t", "drawn"

    def __init__(self, problems, fault=None):
        self.problems, self.fault = problems, fault

    def load(self, request):
        if self.fault is not None:
            raise self.fault
        return LoadedTask(self.problems, "math", "1", "0", image_field="seed" if self.problems[0].images else None)


def of_plugin(task):
    """A loader for an installation that offers this task alone."""
    registry = Registry((), {"task": {task.name: task}}, {}, None)
    return lambda snapshot, name: load_pictures(snapshot, name, None, lambda: (registry, ()))


def drawn(images):
    return [Problem("t", f"p{n}", f"What is {n}?", str(n), ("\n",), {"seed": n}, images) for n in range(2)]


def test_a_task_of_any_plugin_shows_its_pictures(text_run):
    record = json.loads((text_run / "run.json").read_text())
    record["tasks"]["t"]["prompt_hash"] = hash_prompts(drawn((PNG, JPEG)))
    (text_run / "run.json").write_text(json.dumps(record))
    with Index(text_run) as index:
        found = of_plugin(Drawn(drawn((PNG, JPEG))))(index.snapshot, "t")
        assert found == Found(dict.fromkeys(("p0", "p1"), (PNG, JPEG)))
        assert of_plugin(Drawn(drawn(())))(index.snapshot, "t") == Found()


def test_a_plugin_that_fails_is_no_fault_of_the_page(text_run):
    with asking(text_run, load_pictures=of_plugin(Drawn((), KeyError("image")))) as ask:
        status, _, page = ask("/problem?id=p0")
    assert status == 200 and "its data cannot be read: KeyError: &#39;image&#39;" in note(page)


def test_prompts_of_single_models_are_part_of_the_hash(text_run):
    """`also` was given prompts of its own and has no sample yet."""
    own = [replace(problem, prompt=f"<chat>{problem.prompt}") for problem in drawn((PNG,))]
    with RunStore(text_run) as store:
        store.write_problems("t", own, "also")
    record = json.loads((text_run / "run.json").read_text())
    record["spec"]["also"] = {"also": "x"}
    record["tasks"]["t"]["prompt_hash"] = hash_prompts([*drawn((PNG,)), *own])
    (text_run / "run.json").write_text(json.dumps(record))
    with Index(text_run) as index:
        assert of_plugin(Drawn(drawn((PNG,))))(index.snapshot, "t") == Found(dict.fromkeys(("p0", "p1"), (PNG,)))


def test_a_task_is_read_once_and_a_page_does_not_wait_for_ever(text_run):
    begun, go_on = [], threading.Event()

    def slow(snapshot, task):
        begun.append(task)
        go_on.wait(30)
        return TWO

    pictures = Pictures(slow, wait_s=0.01)
    with Index(text_run) as index:
        for _ in range(2):
            strip = pictures.strip(index.snapshot, "t", "p0")
            assert (strip.pictures, "still being read" in strip.note) == ((), True)
        go_on.set()
        while not (strip := pictures.strip(index.snapshot, "t", "p0")).pictures:
            pass
    assert (begun, strip.note) == (["t"], "")


def test_data_that_is_put_in_place_later_is_found(text_run):
    answers = [Found(fault="absent"), TWO, Found(fault="never asked for")]
    with Index(text_run) as index:
        pictures = Pictures(lambda *_: answers.pop(0), again_s=0.0)
        assert pictures.strip(index.snapshot, "t", "p0").note == "absent"
        for _ in range(2):
            assert len(pictures.strip(index.snapshot, "t", "p0").pictures) == 2


@pytest.mark.slow
def test_the_command_finds_moved_data_by_its_option_and_says_nothing_else(vision, tmp_path):
    moved = shutil.move(shutil.copytree(vision[1], tmp_path / "copy"), tmp_path / "moved")
    record = json.loads((vision[0] / "run.json").read_text())
    folder = shutil.copytree(vision[0], tmp_path / "run")
    (folder / "run.json").write_text(json.dumps(record | {"spec": {**record["spec"], "data_dir": "/nowhere"}}))
    program = "from rlvr_harness.cli import main; main()"
    command = [sys.executable, "-c", program, "view", folder, "--no-browser", "--data_dir", moved]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        base = process.stdout.readline().strip()
        page = "still being read"
        while "still being read" in page:
            with urlopen(f"{base}problem?id=1") as answer:
                page = answer.read().decode()
        ((src, _),) = images(page)
        with urlopen(base + src.removeprefix("/")) as answer:
            assert answer.read() == JPEG
        process.terminate()
        assert process.wait(30) == 0
        assert process.stderr.read() == "Ctrl-C ends it\n"


def test_hostile_ids_only_stand_in_the_text_of_a_picture(tmp_path):
    hostile = "<b onclick=x>'\"\x1b\u202e/../"
    folder = tmp_path / "r"
    with RunStore(folder) as store:
        record = fakes.run_json(task=hostile) | {"spec": {}}
        record["tasks"][hostile]["prompt_hash"] = "0" * 64
        store.write_json("run.json", record)
        store.write_problems(hostile, [Problem(hostile, hostile, "?", "1")])
        store.append_samples([Sample(hostile, "base", hostile, 0, 0, "x", FinishReason.STOP, 1)])
    with asking(folder, load_pictures=lambda *_: Found({hostile: (PNG,)})) as ask:
        page = ask("/problem", params={"task": hostile, "id": hostile})[2]
        ((src, alt),) = images(page)
        assert ask(src, raw=True)[2] == PNG
    assert alt == "picture 1 of problem <b onclick=x>'\"\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}/../"
    assert not [tag for tag in Tags(page).tags if "onclick" in tag[1]]
