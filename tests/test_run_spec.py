import re
from pathlib import Path

import click
import pytest

from rlvr_harness.cli import cli
from rlvr_harness.errors import UsageError
from rlvr_harness.options import given_options, spec_options
from rlvr_harness.planning import SequentialPlan
from rlvr_harness.preparing import plan_for
from rlvr_harness.run_spec import (
    IDENTITY_FREE,
    RunSpec,
    identity,
    parse_pairs,
    parse_scalar,
    parse_spec,
    read_spec_file,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("none", None),
        ("bfloat16", "bfloat16"),
        ("1.0.0", "1.0.0"),
        (" x ", "x"),
    ],
)
def test_scalars_are_read_as_what_they_look_like(text, value):
    assert parse_scalar(text) == value
    assert type(parse_scalar(text)) is type(value)


def test_pairs_keep_what_stands_behind_the_first_equals_sign():
    assert parse_pairs("base_url=http://h/v1?a=b, dtype=float32,") == {
        "base_url": "http://h/v1?a=b",
        "dtype": "float32",
    }


def test_pairs_may_be_json():
    assert parse_pairs('{"a": {"b": [1, 2]}}') == {"a": {"b": [1, 2]}}


def test_lists_lose_blanks_and_empty_parts():
    assert parse_spec({"model": "m", "tasks": " a, b ,,c"}).tasks == ["a", "b", "c"]


def test_further_models_are_named_paths():
    assert parse_spec({"model": "m", "also": ("d=./x=y", "e=hub/id")}).also == {"d": "./x=y", "e": "hub/id"}


def test_models_are_sampled_base_first():
    spec = parse_spec({"model": "m", "base": "b", "also": "d=x"})
    assert list(spec.models.items()) == [("base", "b"), ("model", "m"), ("d", "x")]


def test_without_a_base_there_is_one_model():
    assert parse_spec({"model": "m"}).models == {"model": "m"}


def test_base_args_override_model_args_for_the_base_alone():
    spec = parse_spec({"model": "m", "base": "b", "model_args": "dtype=a,x=1", "base_args": "dtype=b"})
    assert spec.args_for("base") == {"dtype": "b", "x": 1}
    assert spec.args_for("model") == {"dtype": "a", "x": 1}


def test_n_is_k_where_it_is_not_given():
    assert parse_spec({"model": "m", "k": 8}).samples_per_problem == 8
    assert parse_spec({"model": "m", "k": 8, "n": 16}).samples_per_problem == 16


def test_samples_are_drawn_in_stages_from_k_64_on():
    assert [parse_spec({"model": "m", "k": k}).plan for k in (63, 64)] == ["fixed", "sequential"]
    assert parse_spec({"model": "m", "k": 64, "plan": "fixed"}).plan == "fixed"
    assert parse_spec({"model": "m", "k": 8, "plan": "sequential", "stages": "4,8"}).stages == [4, 8]


def test_a_task_with_a_number_of_its_own_takes_the_stages_up_to_it():
    spec = parse_spec({"model": "m", "k": 256, "stages": "16,64,256", "stop_after": 2})
    assert plan_for(spec, "a", 64) == SequentialPlan((16, 64), 2)
    assert plan_for(spec, "a", None) == SequentialPlan((16, 64, 256), 2)
    assert plan_for(parse_spec({"model": "m", "k": 100}), "a", None) == SequentialPlan((16, 32, 64, 100), 8)
    with pytest.raises(UsageError, match="task 'a' has 128 samples per problem, which is none of --stages 16,64,256"):
        plan_for(spec, "a", 128)


def test_a_fault_in_k_is_the_only_one_told():
    with pytest.raises(UsageError) as fault:
        parse_spec({"model": "m", "k": "many"})
    assert str(fault.value).count("--") == 1


def test_a_spec_survives_the_way_through_json():
    spec = parse_spec({"model": "m", "also": "d=x", "gen_kwargs": "temperature=1", "data_dir": "d", "without": "a,b"})
    assert parse_spec(spec.as_data()) == spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--model is required"),
        ({"model": "m", "k": 0}, "--k: .*greater than or equal to 1"),
        ({"model": "m", "k": "many"}, "--k: .*integer"),
        ({"model": "m", "k": 2.5}, "--k: .*integer"),
        ({"model": "m", "n": 4, "k": 8}, "k = 8 needs at least as many samples, n = 4; raise --n or lower --k"),
        ({"model": "m", "n": 4}, "k = 1024 needs at least as many samples, n = 4"),
        ({"model": "m", "limit": 0}, "--limit: "),
        ({"model": "m", "seed": -1}, "--seed: "),
        ({"model": "m", "num_fewshot": -1}, "--num_fewshot: "),
        ({"model": "m", "plan": "greedy"}, "--plan: .*'fixed'"),
        ({"model": "m", "k": 64, "stages": "16,16,64"}, "--stages 16,16,64 do not rise"),
        ({"model": "m", "k": 64, "stages": "16,32"}, "--stages 16,32 end in 32, not in n = 64"),
        ({"model": "m", "k": 64, "stages": "16,many"}, "--stages: 'many': .*integer"),
        ({"model": "m", "k": 64, "stages": "0,64"}, "--stages: '0': .*greater than or equal to 1"),
        ({"model": "m", "k": 64, "stages": ""}, "--stages: .*at least 1"),
        ({"model": "m", "k": 8, "stages": "4,8"}, "--stages belong to --plan sequential"),
        ({"model": "m", "k": 64, "stop_after": 0}, "--stop_after: .*greater than or equal to 1"),
        ({"model": "m", "temprature": 1}, "unknown option 'temprature'"),
        ({"model": "m", "tasks": "a", "preset": "yue-math"}, "--tasks or --preset, not both"),
        ({"model": "m", "gen_kwargs": "temperature"}, "'temperature' is not of the form key=value"),
        ({"model": "m", "gen_kwargs": "temp=1"}, "gen_kwargs: unknown temp; known are max_gen_toks, "),
        ({"model": "m", "gen_kwargs": "do_sample=true"}, "gen_kwargs: unknown do_sample"),
        ({"model": "m", "gen_kwargs": "temperature=-0.1"}, "temperature=-0.1 is outside 0 to 100"),
        ({"model": "m", "gen_kwargs": "temperature=hot"}, "temperature=hot is outside"),
        ({"model": "m", "gen_kwargs": "temperature=nan"}, "temperature=nan is outside"),
        ({"model": "m", "gen_kwargs": "temperature=true"}, "temperature=True is outside"),
        ({"model": "m", "gen_kwargs": "temperature=none"}, "temperature=None is outside"),
        ({"model": "m", "gen_kwargs": "top_p=0"}, "top_p=0 is outside"),
        ({"model": "m", "gen_kwargs": "top_p=1.1"}, "top_p=1.1 is outside"),
        ({"model": "m", "gen_kwargs": "top_k=-1"}, "top_k=-1 is outside"),
        ({"model": "m", "gen_kwargs": "top_k=2.5"}, "top_k=2.5 is not a whole number"),
        ({"model": "m", "gen_kwargs": "repetition_penalty=0"}, "repetition_penalty=0 is outside"),
        ({"model": "m", "gen_kwargs": "max_gen_toks=0"}, "max_gen_toks=0 is outside"),
        ({"model": "m", "also": "x"}, "'x' is not of the form NAME=PATH"),
        ({"model": "m", "also": ("x=a", "x=b")}, "the name 'x' is given twice"),
        ({"model": "m", "also": "base=x"}, "--also name 'base'"),
        ({"model": "m", "also": "a/b=x"}, "--also name 'a/b'"),
        ({"model": "m", "model_args": "{not json"}, "--model_args: not JSON: Expecting"),
        ({"model": "m", "model_args": "[1]"}, "not of the form"),
    ],
    ids=str,
)
def test_a_bad_option_is_refused_in_one_line(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse_spec(options, "run")
    assert str(caught.value).startswith("run: ")
    assert "\n" not in str(caught.value)


def test_every_fault_is_told_at_once():
    with pytest.raises(UsageError, match=r"--k: .*; .*--seed: "):
        parse_spec({"model": "m", "k": 0, "seed": -1})


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        parse_spec({"model": "m"}).k = 2


def test_identity_leaves_out_what_changes_no_sample():
    data = parse_spec({"model": "m"}).as_data()
    assert set(data) - set(identity(data)) == IDENTITY_FREE
    assert {"model", "base", "k", "n", "seed", "gen_kwargs", "batch_size", "limit"} <= set(identity(data))


def options_of(command):
    return {option.name: option for option in cli.commands[command].params if isinstance(option, click.Option)}


@pytest.mark.parametrize(("command", "own"), [("run", {"quiet"}), ("plan", {"tokens_per_s", "probe", "detectable"})])
def test_every_field_is_a_flag_and_every_flag_a_field(command, own):
    assert set(options_of(command)) - own - {"config", "log_samples"} == set(RunSpec.model_fields)


def test_every_flag_is_the_name_of_its_field_and_is_explained():
    for name, field in RunSpec.model_fields.items():
        option = options_of("run")[name]
        assert f"--{name}" in option.opts
        assert option.help.startswith(field.description)


def test_short_flags_are_those_of_lm_eval():
    others = {name: option.opts[0] for name, option in options_of("run").items() if len(option.opts) > 1}
    assert others.pop("device") == "--devices"
    assert others == {"output_path": "-o", "limit": "-L", "tasks": "-t", "model_args": "-a"}


@pytest.fixture
def parse():
    """parse(*words) -> the options that a command made from RunSpec is given."""
    seen = []
    command = click.command(context_settings=cli.context_settings)(
        spec_options(lambda **flags: seen.append(given_options(flags)))
    )

    def parse_(*words):
        command.main(args=list(map(str, words)), standalone_mode=False)
        return seen[-1]

    return parse_


def test_dashes_and_underscores_are_the_same(parse):
    assert parse("--gen-kwargs", "top_p=1", "--batch-size", "4") == parse("--gen_kwargs", "top_p=1", "--batch_size", 4)


def test_dashes_inside_a_value_stay(parse):
    assert parse("--model", "a-b", "--tasks=c-d") == {"model": "a-b", "tasks": "c-d"}


def test_flags_that_are_not_given_are_absent(parse):
    assert parse("--model", "m") == {"model": "m"}


def test_a_repeated_flag_names_more_models(parse):
    assert parse_spec(parse("--model", "m", "--also", "a=x", "--also", "b=y")).also == {"a": "x", "b": "y"}


def test_a_config_file_gives_options_and_flags_win_over_it(parse, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("model: m\nk: 8\ngen-kwargs:\n  temperature: 1.0\ntasks: [a, b]\nalso: {d: x}\n")
    spec = parse_spec(parse("--config", config, "--k", 16))
    assert (spec.model, spec.k, spec.gen_kwargs, spec.tasks) == ("m", 16, {"temperature": 1.0}, ["a", "b"])
    assert spec.also == {"d": "x"}


def test_a_config_file_may_switch_a_flag_on(parse, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("model: m\napply_chat_template: true\n")
    assert parse_spec(parse("--config", config)).apply_chat_template is True


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "is not YAML"), ("- a\n", "holds no options"), ("", "holds no options"), ("a: \x00", "is not YAML")],
)
def test_a_bad_config_file_is_refused_in_one_line(tmp_path, text, message):
    config = tmp_path / "run.yaml"
    config.write_text(text)
    with pytest.raises(UsageError, match=rf"^--config {re.escape(str(config))}.*{message}") as caught:
        read_spec_file(config)
    assert "\n" not in str(caught.value)


def test_a_config_file_in_another_encoding_is_refused_in_one_line(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_bytes("model: ü".encode("latin-1"))
    with pytest.raises(UsageError, match=f"^--config {re.escape(str(config))}"):
        read_spec_file(config)


def test_a_missing_config_file_is_named():
    with pytest.raises(UsageError, match=r"--config no\.yaml: No such file"):
        read_spec_file(Path("no.yaml"))


def test_an_unknown_key_of_a_config_file_is_named(parse, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("model: m\nmodell: x\n")
    with pytest.raises(UsageError, match="unknown option 'modell'"):
        parse_spec(parse("--config", config))
