"""Vision-language models with random weights: what the `hf` sampler makes of pictures."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rlvr_harness import ModelRequest, SamplingLaw, TaskError
from rlvr_harness.pictures import check_shown
from rlvr_hf.sampler import HfSampler

GREEDY = SamplingLaw(temperature=0.0, top_p=1.0, max_gen_toks=8)
LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=8)
TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}]{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|see|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def byte_tokenizer():
    """One token a byte, and one for a patch of a picture."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>", extra_special_tokens={"image_token": "<|see|>"}
    )


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """Folder of a LLaVA of 60 thousand random parameters, pictures of 28 x 28 points in four patches."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = byte_tokenizer()
    tokenizer.chat_template = TEMPLATE
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, initializer_range=0.5,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14,
        projection_dim=16, initializer_range=0.5,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=tokenizer.convert_tokens_to_ids("<|see|>")
    )
    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("seeing")
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default", chat_template=TEMPLATE,
        image_token="<|see|>", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def opened(seeing):
    return HfSampler().open(ModelRequest("model", str(seeing), device="cpu", threads=1))


def picture(seed, size=(56, 56)):
    """A PNG of noise."""
    from PIL import Image

    stored = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)).save(stored, "PNG")
    return stored.getvalue()


@pytest.fixture
def shown(puzzle, request_for):
    """shown(number, picture, indices) -> a request for samples of a puzzle with a picture."""
    return lambda number, image, indices: request_for(replace(puzzle(number), images=(image,)), indices)


def texts(samples):
    return [sample.text for sample in samples]


def test_other_pictures_give_other_texts(opened, shown):
    found = [texts(opened.sample((shown(0, picture(seed), (0,)),), GREEDY))[0] for seed in range(4)]
    assert len(set(found)) == 4
    assert texts(opened.sample((shown(0, picture(0), (0,)),), GREEDY)) == found[:1]


def test_the_greedy_text_is_that_of_transformers(opened, seeing, shown, puzzle):
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(seeing)
    inputs = processor(
        text=["<|see|>\n" + puzzle(0).prompt], images=[Image.open(io.BytesIO(picture(1)))], return_tensors="pt"
    )
    model = AutoModelForImageTextToText.from_pretrained(seeing)
    end = processor.tokenizer.eos_token_id
    output = model.generate(**inputs, do_sample=False, max_new_tokens=8, eos_token_id=end, pad_token_id=end)
    text = processor.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert texts(opened.sample((shown(0, picture(1), (0,)),), GREEDY)) == [text]


def test_a_batch_with_pictures_gives_the_texts_of_one_by_one(opened, shown):
    work = (shown(0, picture(0), range(5)), shown(1, picture(1, (90, 40)), range(3)))
    together = opened.sample(work, LAW)
    alone = [
        sample
        for cell, number in zip(work, (0, 1), strict=True)
        for index in cell.indices
        for sample in opened.sample((shown(number, cell.problem.images[0], (index,)),), LAW)
    ]
    assert texts(together) == texts(alone)
    assert [sample.seed for sample in together] == [sample.seed for sample in alone]
    assert len(set(texts(together))) > 4


def test_a_model_that_sees_answers_questions_without_pictures_too(opened, puzzle, request_for):
    assert len(set(texts(opened.sample((request_for(puzzle(0), range(8)),), LAW)))) > 4


def test_the_profile_renders_and_counts_pictures(seeing):
    profile = HfSampler().profile(ModelRequest("model", str(seeing)))
    assert profile.render_chat([{"role": "user", "content": "<image>\nHi"}]) == "[user]<|see|>\nHi[assistant]"
    for prompt in ("<|see|>\nHi", "<image>\nHi", "Hi"):  # rendered, marked, plain: 4 patches, line break, H, i
        assert profile.count_tokens_with(prompt, (picture(0),)) == 7
    assert profile.count_tokens_with("Hi", ()) == 2


def test_a_problem_whose_picture_is_missing_is_refused(puzzle):
    with pytest.raises(TaskError, match=r"problem 'p0': its picture \(None\) is not there"):
        check_shown([puzzle(0)], "image")


@pytest.fixture
def vision_data(tmp_path):
    folder = tmp_path / "mathvision"
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(3):
        (folder / "images" / f"{number}.png").write_bytes(picture(number))
        place = f"images/{number}.png"
        rows.append(
            {"id": str(number), "question": "How many?\n<image1>", "options": [], "answer": "4", "image": place}
        )
    (folder / "testmini.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def run_vision(harness, model, data, *more):
    plan = ("--k", "2", "--n", "2", "--plan", "fixed", "--threads", "1", "--gen_kwargs", "max_gen_toks=8", "--quiet")
    where = ("--tasks", "mathvision", "--data_dir", data, "--device", "cpu", "-o", data / "run")
    return harness("run", "--model", model, *where, *plan, *more)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--apply_chat_template",)])
def test_a_run_shows_the_pictures_of_a_task(harness, seeing, vision_data, more):
    done = run_vision(harness, seeing, vision_data, *more)
    assert done.returncode == 0, done.stderr
    results = json.loads((vision_data / "run" / "results.json").read_text())
    assert results["tasks"]["mathvision"]["models"]["model"]["samples"] == 6


@pytest.mark.slow
def test_a_model_that_reads_text_only_is_refused_a_task_with_pictures(harness, tiny_model, vision_data):
    done = run_vision(harness, tiny_model, vision_data)
    assert done.returncode == 2
    assert "task 'mathvision' shows pictures, and the model model" in done.stderr
