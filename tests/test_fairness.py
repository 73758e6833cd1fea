"""What the guard finds in hand-made models, what it refuses, and what becomes of it in the results."""

import json
from dataclasses import dataclass, field

import pytest

from rlvr_harness import LoadedTask, ModelError, Problem, PromptRequest, UsageError
from rlvr_harness.comparing import HALF_OPEN, Conditions, compare, decide
from rlvr_harness.engine_args import differing_args
from rlvr_harness.fairness import Decision
from rlvr_harness.stages.prompting import ChatUse, CompletionBudget, prompt_task

QWEN = frozenset({"<|endoftext|>", "<|im_end|>", "a"})
PLAIN = ChatUse()
BUDGET = CompletionBudget(None, 8)


@dataclass
class Profile:
    """A model known by its files; one token a character."""

    eos_tokens: tuple = ("<|endoftext|>",)
    vocabulary: frozenset = QWEN
    template: str | None = None
    dtype: str | None = "bfloat16"
    quantization: str | None = None
    before: tuple = ()
    context_length: int | None = None
    tokenizer_hash: str = "t"

    @property
    def chat_template_hash(self):
        return self.template

    def render_chat(self, messages, add_generation_prompt=True):
        if self.template is None:
            raise ModelError("no chat template")
        return "".join(message["content"] for message in messages) + self.template

    def count_tokens(self, prompt):
        return len(self.token_ids(prompt))

    def token_ids(self, prompt):
        return [*self.before, *map(ord, prompt)]

    def has_token(self, token):
        return token in self.vocabulary


@dataclass
class SilentProfile:
    """What a sampler offers that knows nothing of this guard."""

    context_length: int | None = None
    tokenizer_hash: str = "t"
    chat_template_hash: str | None = None

    def count_tokens(self, prompt):
        return len(prompt)


@dataclass
class Questions:
    """A task of these prompts, the last message of a chat."""

    prompts: tuple = ("one\n", "two\n")
    name: str = "sums"
    loads: list = field(default_factory=list)

    def load(self, request):
        self.loads.append(request.tokenizer_name)
        chat = request.chat_renderer
        texts = [chat([{"role": "user", "content": text}], True) if chat else text for text in self.prompts]
        problems = [Problem(self.name, str(number), text, "") for number, text in enumerate(texts)]
        return LoadedTask(problems, "math", "r", "h")


def conditions(profiles, chat=PLAIN, args=None, task=None):
    prompted = prompt_task(task or Questions(), PromptRequest(), profiles, chat, BUDGET)
    return Conditions(profiles, {role: {} for role in profiles} | (args or {}), [prompted], chat.wanted)


def found(profiles, **given):
    """The texts of all findings."""
    return [finding.text for finding in compare(conditions(profiles, **given)).findings]


def refused(profiles, **given):
    """The one line of the refusal; the same with allow_unfair passes."""
    with pytest.raises(UsageError) as caught:
        decide(conditions(profiles, **given), None, allow_unfair=False)
    assert decide(conditions(profiles, **given), None, allow_unfair=True).refusals
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; or compare all the same with --allow_unfair")
    return str(caught.value)


def test_equal_models_are_compared_without_a_word():
    decision = decide(conditions({"base": Profile(), "model": Profile()}), None, allow_unfair=False)
    assert decision == Decision((), ("<|endoftext|>",))
    assert decision.of("sums", "base", "model").as_data([]) == {
        "same_prompt": True,
        "same_sampling": True,
        "warnings": [],
        "eos_tokens": ["<|endoftext|>"],
    }


def test_models_of_one_vocabulary_stop_at_the_end_tokens_of_all():
    decision = compare(conditions({"base": Profile(), "model": Profile(("<|im_end|>",))}))
    assert decision.eos_tokens == ("<|endoftext|>", "<|im_end|>")
    assert [finding.text for finding in decision.findings] == [
        "the checkpoints end their texts with different tokens (base: <|endoftext|>; model: <|im_end|>); "
        "every model stops at all of them"
    ]
    assert decision.of("sums", "base", "model").same_sampling is True


def test_the_order_of_declared_end_tokens_is_no_difference():
    both = Profile(("<|im_end|>", "<|endoftext|>")), Profile(("<|endoftext|>", "<|im_end|>"))
    assert found(dict(zip(("base", "model"), both, strict=True))) == []


def test_an_end_token_that_one_tokenizer_lacks_is_refused():
    profiles = {"base": Profile(), "model": Profile(("</s>",), frozenset({"</s>"}))}
    assert refused(profiles) == (
        "not a fair comparison: the checkpoints end their texts with different tokens (base: <|endoftext|>; "
        "model: </s>), which not every tokenizer has (missing: base: </s>; model: <|endoftext|>) "
        "(compare models of one tokenizer); or compare all the same with --allow_unfair"
    )
    decision = decide(conditions(profiles), None, allow_unfair=True)
    assert decision.eos_tokens is None
    assert decision.of("sums", "base", "model").same_sampling is False


def test_only_the_model_that_differs_is_called_unfair():
    odd = Profile(("</s>",), frozenset({"</s>"}))
    decision = compare(conditions({"base": Profile(), "model": Profile(), "distilled": odd}))
    assert [decision.of("sums", "base", role).same_sampling for role in ("model", "distilled")] == [True, False]


def test_end_tokens_that_a_sampler_does_not_tell_are_unknown_and_no_refusal():
    decision = decide(conditions({"base": SilentProfile(), "model": SilentProfile()}), None, allow_unfair=False)
    assert decision.eos_tokens is None
    fair = decision.of("sums", "base", "model")
    assert (fair.same_prompt, fair.same_sampling) == (True, None)
    assert "does not tell which tokens end a text" in decision.warnings("sums")[0]


def test_one_model_alone_has_nothing_to_differ_from():
    assert found({"model": SilentProfile()}) == []
    assert compare(conditions({"model": Profile(("<|im_end|>",))})).eos_tokens == ("<|im_end|>",)


def test_an_asked_for_dtype_that_differs_is_refused():
    profiles = {"base": Profile(dtype="float32"), "model": Profile()}
    message = refused(profiles, args={"base": {"dtype": "float32"}})
    assert "the engine argument 'dtype' differs (base: float32; model: bfloat16)" in message


def test_a_dtype_that_makes_stored_precisions_equal_is_fair():
    profiles = {role: Profile(dtype="float32") for role in ("base", "model")}
    assert found(profiles, args={"base": {"dtype": "float32"}}) == []


def test_checkpoints_stored_in_different_precision_are_warned_of():
    decision = decide(conditions({"base": Profile(dtype="float32"), "model": Profile()}), None, allow_unfair=False)
    assert "in different precision (base: float32; model: bfloat16)" in decision.warnings("sums")[0]
    assert decision.of("sums", "base", "model").same_sampling is True


def test_weights_quantised_otherwise_are_refused():
    message = refused({"base": Profile(), "model": Profile(quantization="gptq")})
    assert "the checkpoints are quantised differently (base: none; model: gptq)" in message


def test_quantising_one_model_while_loading_is_refused():
    args = {"base": {}, "model": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}
    message = refused({"base": Profile(), "model": Profile()}, args=args)
    assert "'load_in_4bit' differs (base: default; model: True)" in message
    assert "'bnb_4bit_quant_type' differs (base: default; model: nf4)" in message


def test_an_unknown_argument_is_warned_of_without_its_value():
    args = {"base": {"attn_implementation": "eager", "secret": "hunter2"}, "model": {}}
    texts = found({"base": Profile(), "model": Profile()}, args=args)
    assert [text.split("'")[1] for text in texts] == ["attn_implementation", "secret"]
    assert "hunter2" not in " ".join(texts)


def test_arguments_that_say_which_checkpoint_or_where_are_free():
    args = {"base": {"revision": "a", "load_in_8bit": False}, "model": {"revision": "b", "peft": "x", "device": "cpu"}}
    assert differing_args(args) == {}


def test_chat_templates_that_make_other_prompts_are_refused():
    profiles = {"base": Profile(template="\n<a>"), "model": Profile(template="\n<a><think>")}
    message = refused(profiles, chat=ChatUse(True))
    assert "task 'sums': the chat templates of the base and model models make different prompts" in message
    assert r"ending in 'one\n\n<a>' and 'one\n\n<a><think>'" in message


def test_under_allow_unfair_each_model_is_given_its_own_prompts():
    profiles = {"base": Profile(template="<a>"), "model": Profile(template="<b>")}
    asked = conditions(profiles, chat=ChatUse(True))
    assert [asked.tasks[0].problems_for(role)[0].prompt for role in profiles] == ["one\n<a>", "one\n<b>"]
    fair = compare(asked).of("sums", "base", "model")
    assert (fair.same_prompt, fair.same_sampling) == (False, True)


def test_templates_that_render_alike_load_the_task_once():
    task = Questions()
    found({"base": Profile(template="<a>"), "model": Profile(template="<a>")}, chat=ChatUse(True), task=task)
    assert task.loads == ["base"]


@dataclass
class TurnEndingProfile(Profile):
    """One template text for all, that closes an assistant's turn with the tokenizer's own end token."""

    template: str | None = "<a>"

    def render_chat(self, messages, add_generation_prompt=True):
        turns = [f"{m['content']}{self.eos_tokens[0] if m['role'] == 'assistant' else ''}" for m in messages]
        return "".join(turns)


def test_equal_templates_are_rendered_by_each_model_where_its_tokens_show():
    profiles = {"base": TurnEndingProfile(), "model": TurnEndingProfile(("<|im_end|>",))}
    zero, few = Questions(), Questions()
    for shots, task in ((0, zero), (1, few)):
        prompt_task(task, PromptRequest(num_fewshot=shots), profiles, ChatUse(True), BUDGET)
    assert (zero.loads, few.loads) == (["base"], ["base", "model"])


def test_a_missing_chat_template_is_an_error_of_its_own():
    with pytest.raises(ModelError, match="no chat template"):
        conditions({"base": Profile(), "model": Profile(template="<a>")}, chat=ChatUse(True))


def test_under_allow_unfair_a_model_without_template_is_given_plain_prompts():
    profiles = {"base": Profile(), "model": Profile(template="<a>")}
    asked = conditions(profiles, chat=ChatUse(True, plain_where_missing=True))
    assert [asked.tasks[0].problems_for(role)[0].prompt for role in profiles] == ["one\n", "one\n<a>"]
    decision = compare(asked)
    assert decision.warnings("sums") == ["task 'sums': base has no chat template and is given plain prompts"]
    assert decision.of("sums", "base", "model").same_prompt is False


def test_a_chat_template_that_one_model_alone_has_and_that_is_not_used_is_warned_of():
    (text,) = found({"base": Profile(), "model": Profile(template="<a>")})
    assert text.startswith("model has a chat template and base has none; no template is used")


def test_equal_prompts_read_as_other_tokens_are_warned_of():
    decision = compare(conditions({"base": Profile(before=(1,)), "model": Profile()}))
    assert decision.warnings("sums") == [
        "task 'sums': model reads 2 of 2 prompts as other tokens than base, "
        "so the same max_gen_toks may not be the same length of text"
    ]
    assert decision.refusals == []


def test_tokenizers_of_other_hash_that_read_prompts_alike_are_no_difference():
    assert found({"base": Profile(), "model": Profile(tokenizer_hash="u")}) == []


@pytest.mark.parametrize(
    ("prompts", "text"),
    [
        (("a\n", "b\n", "c"), "task 'sums': 1 of 3 prompts do not end like the others (most end with a line break)"),
        (("a", "b", "c "), "task 'sums': 1 of 3 prompts do not end like the others (most end with no white space)"),
        (("a<|im_start", "b<|im_start"), "task 'sums': 2 of 2 prompts end inside a mark that is not closed"),
    ],
)
def test_prompts_that_do_not_end_alike_are_warned_of(prompts, text):
    assert found({"model": Profile()}, task=Questions(prompts)) == [text]


@pytest.mark.parametrize("prompt", ["if 3 < 5", "a<b", "<|im_start|>assistant", "is x <= 2", "<think>", "</s>"])
def test_closed_marks_and_inequalities_are_no_half_open_marks(prompt):
    assert HALF_OPEN.search(prompt) is None


def test_warnings_of_one_task_are_not_those_of_another():
    decision = compare(conditions({"model": Profile()}, task=Questions(("a", "b\n"))))
    assert (len(decision.warnings("sums")), decision.warnings("other")) == (1, [])


def test_a_decision_survives_json():
    profiles = {"base": Profile(dtype="float32"), "model": Profile(("</s>",), frozenset({"</s>"}))}
    decision = compare(conditions(profiles))
    again = Decision.from_data(json.loads(json.dumps(decision.as_data())))
    assert again == decision
    assert again.of("sums", "base", "model") == decision.of("sums", "base", "model")


def test_a_run_that_goes_on_keeps_its_decision():
    recorded = {"fairness": Decision((), ("</s>",)).as_data()}
    unfair = conditions({"base": Profile(), "model": Profile(quantization="gptq")})
    assert decide(unfair, recorded, allow_unfair=False) == Decision((), ("</s>",))


def test_a_run_that_began_before_the_guard_goes_on_as_it_began():
    profiles = {"base": Profile(), "model": Profile(("<|im_end|>",))}
    decision = decide(conditions(profiles), {"notes": []}, allow_unfair=False)
    assert decision.eos_tokens is None
    assert decision.warnings("sums")[0].endswith("and each model stopped at its own")
    assert decision.of("sums", "base", "model").same_sampling is False
