"""Makes a tiny vision-language model with random weights that the real vLLM server can load.

    python make_tiny_vlm.py MODEL_DIR LORA_DIR

It has the architecture, the special tokens, the chat template and the processor of Qwen2.5-VL, two
narrow layers, and a byte-level BPE tokenizer trained here, on text made here: seconds, 3.5 MB, the
same bytes on every run, nothing downloaded. What it says is noise; everything around its weights
is real. Runs in the environment of the server, not in the project's.

Its output head departs from random weights in two ways. Special tokens are all but never sampled:
a text ends at max_tokens, at a stop string or where logit_bias raises <|im_end|>, never by chance.
Tokens that are no complete characters are not sampled either, so the text is valid UTF-8.
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLVideoProcessor,
    set_seed,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX, Qwen2Tokenizer
from transformers.models.qwen2_vl import Qwen2VLImageProcessor

SEED = 0
VOCABULARY = 4096
PATCH = 14
MAX_IMAGE_TOKENS = 64

# The special tokens of Qwen2.5-VL; their ids differ from the real ones.
SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]

# Renders what Qwen2.5-VL's own template renders: no content is ever trimmed.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if loop.first and message['role'] != 'system' -%}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' or 'image' in part or 'image_url' in part -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif part['type'] == 'video' or 'video' in part -%}
{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
{%- elif 'text' in part -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}"""

_VOCABULARY = (
    "the of a to and in is for with this that slide chart table figure shows data model result "
    "method section talk today first next finally compare growth market user image text long "
    "write output length training score average because however therefore question answer "
    "section speaker notes outline introduction conclusion summary revenue quarter percent"
)
_WORDS = _VOCABULARY.split()
_CHINESE = (
    "这是第一张幻灯片我们来看下面的图表数据模型结果方法总结介绍谢谢大家今天主要内容增长市场用户"
)


def main() -> None:
    """Write the model to the first argument and a random adapter for it to the second."""
    model_dir, lora_dir = Path(sys.argv[1]), Path(sys.argv[2])
    set_seed(SEED)
    tokenizer = make_tokenizer()
    model = Qwen2_5_VLForConditionalGeneration(make_config(tokenizer))
    shape_head(model, tokenizer)
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>")],
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    )
    model.to(torch.bfloat16).save_pretrained(model_dir)
    make_processor(tokenizer).save_pretrained(model_dir)
    make_lora(lora_dir, model)


def corpus() -> Iterator[str]:
    """Some thousand lines of made-up slide text, in English, Chinese and Markdown."""
    rng = random.Random(SEED)
    for number in range(1, 1500):
        text = " ".join(rng.choice(_WORDS) for _ in range(rng.randint(6, 24)))
        yield f"## Slide {rng.randint(1, 60)}\n\n"
        yield text.capitalize() + rng.choice([".", "!", "?", ".\n", ".\n\n"])
        yield f"- **{rng.choice(_WORDS).title()}**: {rng.randint(0, 100)}% ({2000 + number % 30})\n"
        chinese = "".join(rng.choice(_CHINESE) for _ in range(rng.randint(4, 20)))
        yield chinese + rng.choice("。，：\n")
        yield f"{number}. it's we'll don't naïve café — “quoted” … 🙂 📈\n"
        yield f"| {rng.choice(_WORDS)} | {number * 7 % 991} |\n|---|---|\n"
        yield f"```python\nx = {number}\n```\n"


def make_tokenizer() -> Qwen2Tokenizer:
    """A Qwen2 tokenizer (NFC, Qwen's splitting pattern, byte-level BPE), vocabulary our own."""
    raw = Tokenizer(models.BPE())
    raw.normalizer = normalizers.NFC()
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        corpus(),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY - len(SPECIAL),
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    trained = json.loads(raw.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=trained["vocab"],
        merges=[tuple(pair) for pair in trained["merges"]],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token=None,
        model_max_length=32768,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_config(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    """Qwen2.5-VL with two narrow layers of each kind."""
    ids = {
        name: tokenizer.convert_tokens_to_ids(f"<|{name}|>")
        for name in (
            "endoftext",
            "im_end",
            "image_pad",
            "video_pad",
            "vision_start",
            "vision_end",
        )
    }
    text = {
        # A multiple of 64 rows, as large checkpoints have; the surplus rows are never sampled.
        "vocab_size": (len(tokenizer) + 63) // 64 * 64,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        # Head size 32: the least that vLLM's attention on a CPU takes.
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "bos_token_id": ids["endoftext"],
        "eos_token_id": ids["im_end"],
        "pad_token_id": ids["endoftext"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1000000.0,
            # Time, height and width add up to half the head size.
            "mrope_section": [4, 6, 6],
        },
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "num_heads": 2,
        "in_channels": 3,
        "patch_size": PATCH,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "intermediate_size": 128,
        "window_size": 112,
        "fullatt_block_indexes": [1],
        "out_hidden_size": 128,
        "tokens_per_second": 2,
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=False,
    )


def shape_head(model: Qwen2_5_VLForConditionalGeneration, tokenizer: Qwen2Tokenizer) -> None:
    """Make the output head peaky and rule out special tokens and broken characters.

    The head has no bias: a row of zeros gives a logit of 0 where the best of the others is near 13.
    """
    head = model.get_output_embeddings().weight
    byte_of = {character: byte for byte, character in _printable_bytes().items()}
    with torch.no_grad():
        head.normal_(0.0, 0.3)
        for token_id in range(head.shape[0]):
            token = None
            if token_id < len(tokenizer):
                token = tokenizer.convert_ids_to_tokens(token_id)
            if token is None or token in SPECIAL or not _is_text(token, byte_of):
                head[token_id] = 0.0


def _is_text(token: str, byte_of: dict[str, int]) -> bool:
    try:
        text = bytes(byte_of[character] for character in token).decode()
    except UnicodeDecodeError:
        return False
    return all(ord(character) >= 32 or character == "\n" for character in text)


def _printable_bytes() -> dict[int, str]:
    """GPT-2's byte -> printable character, which byte-level BPE vocabularies are written in."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in kept}
    for number, byte in enumerate(byte for byte in range(256) if byte not in table):
        table[byte] = chr(256 + number)
    return table


def make_processor(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLProcessor:
    """Qwen2.5-VL's processor with small images."""
    cell = (2 * PATCH) ** 2  # pixels behind one image token
    size = {"shortest_edge": 4 * cell, "longest_edge": MAX_IMAGE_TOKENS * cell}
    shape = {"size": size, "patch_size": PATCH, "temporal_patch_size": 2, "merge_size": 2}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**shape),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**shape),
        chat_template=CHAT_TEMPLATE,
    )


def make_lora(out: Path, model: Qwen2_5_VLForConditionalGeneration) -> None:
    """A random adapter in PEFT's format for the attention of the language part."""
    rank = 8
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    tensors = {}
    for name, module in model.named_modules():
        if "language_model" in name and name.rsplit(".", 1)[-1] in targets:
            key = f"base_model.model.{name}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(rank, module.in_features)
            tensors[f"{key}.lora_B.weight"] = torch.randn(module.out_features, rank)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny-vlm",
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": targets,
        "inference_mode": True,
        "fan_in_fan_out": False,
        "modules_to_save": None,
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "adapter_model.safetensors")
    (out / "adapter_config.json").write_text(json.dumps(config, indent=1))


if __name__ == "__main__":
    main()
