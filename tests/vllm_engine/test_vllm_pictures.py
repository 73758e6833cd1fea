"""A vision-language model with random weights in a real vLLM: what it makes of pictures, against transformers."""

import io
from dataclasses import replace

import numpy as np
import pytest

from rlvr_harness import ModelRequest, SamplingLaw
from rlvr_vllm.sampler import VllmSampler

GREEDY = SamplingLaw(temperature=0.0, top_p=1.0, max_gen_toks=8)
LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=8)
SHOWN = 6
"""Tokens of a picture: 56 x 56 points in 16 patches, four to a token, between two marks."""
TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}]{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def byte_tokenizer():
    """One token a byte, and those that the processor puts around a picture."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = ["<image>", "<fake_token_around_image>", "<global-img>"]
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<end_of_utterance>", pad_token="<|pad|>", additional_special_tokens=marks
    )


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """Folder of an Idefics3 of 0.3 million random parameters: vLLM's LLaVA does not load without torchvision."""
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor, LlamaConfig
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tokenizer = byte_tokenizer()
    tokenizer.chat_template = TEMPLATE
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.5, tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    vision = Idefics3VisionConfig(
        hidden_size=64, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14,
        initializer_range=0.5,
    )  # fmt: skip
    config = Idefics3Config(
        vision_config=vision, text_config=text, image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("seeing")
    Idefics3ForConditionalGeneration(config).save_pretrained(folder)
    edge = {"longest_edge": 56}
    images = Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
    Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=TEMPLATE).save_pretrained(folder)
    return folder


def picture(seed):
    """A PNG of noise."""
    from PIL import Image

    stored = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (56, 56, 3), dtype=np.uint8)).save(stored, "PNG")
    return stored.getvalue()


@pytest.fixture(scope="module")
def opened(open_vllm, seeing):
    model = open_vllm(seeing)
    yield model
    model.close()


@pytest.fixture
def shown(puzzle, request_for):
    """shown(number, picture, indices) -> a request for samples of a puzzle with a picture."""
    return lambda number, image, indices: request_for(replace(puzzle(number), images=(image,)), indices)


def texts(samples):
    return [sample.text for sample in samples]


def test_greedy_texts_are_those_of_transformers(opened, seeing, shown, puzzle):
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor, model = AutoProcessor.from_pretrained(seeing), AutoModelForImageTextToText.from_pretrained(seeing)
    end = processor.tokenizer.eos_token_id
    expected = []
    for seed in range(4):
        image = Image.open(io.BytesIO(picture(seed)))
        inputs = processor(text=["<image>\n" + puzzle(seed).prompt], images=[[image]], return_tensors="pt")
        output = model.generate(**inputs, do_sample=False, max_new_tokens=8, eos_token_id=end, pad_token_id=end)
        expected.append(processor.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    found = opened.sample(tuple(shown(seed, picture(seed), (0,)) for seed in range(4)), GREEDY)
    # vLLM leaves out a character of which the last tokens hold the first bytes alone.
    assert texts(found) == [text.rstrip("\ufffd") for text in expected]


def test_other_pictures_give_other_texts_under_one_prompt(opened, shown, puzzle, request_for):
    work = [shown(0, picture(seed), (0,)) for seed in range(4)] + [request_for(puzzle(0), (0,))]
    found = [texts(opened.sample((each,), GREEDY))[0] for each in work]
    assert len(set(found)) == 5
    assert [texts(opened.sample((each,), GREEDY))[0] for each in work] == found


def test_samples_of_a_picture_depend_on_their_seeds_alone(opened, shown):
    many = texts(opened.sample((shown(0, picture(0), range(24)), shown(1, picture(1), range(24))), LAW))
    assert len(set(many)) > 40
    assert texts(opened.sample((shown(0, picture(0), range(8)),), LAW)) == many[:8]


def test_the_profile_renders_and_counts_pictures(seeing):
    profile = VllmSampler().profile(ModelRequest("model", str(seeing)))
    assert profile.reads_images
    assert profile.render_chat([{"role": "user", "content": "<image>\nHi"}]) == "[user]<image>\nHi[assistant]"
    for prompt in ("<image>\nHi", "Hi"):
        assert profile.count_tokens_with(prompt, (picture(0),)) == SHOWN + 4
    assert profile.count_tokens_with("Hi", ()) == 2
