"""What a text may hold, which newlines an edited one keeps, and its language."""

import re

from app.domain.diffs import Op, diff
from app.domain.messages import Message

# The control tokens of Qwen2-VL, Qwen2.5-VL and Qwen3-VL (tokenizer_config.json,
# added_tokens_decoder). Their <think> and <tool_call> tags are ordinary text in a turn and allowed.
SPECIAL_STRINGS = (
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
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
_DEFECT = re.compile("|".join(["\x00", "[\ud800-\udfff]", *map(re.escape, SPECIAL_STRINGS)]))
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
_NEWLINE = re.compile(r"\r\n|\r")


def defect(text: str) -> str | None:
    """Why a text cannot be stored or given to a model, as a sentence for the user; None if it can.

    PostgreSQL holds no NUL and UTF-8 no lone surrogate; a special string of the models would become
    a control token in a prompt or a training row. Names the first one and its place (from 1).
    """
    match = _DEFECT.search(text)
    if match is None:
        return None
    found, place = match.group(), match.start() + 1
    if found == "\x00":
        return Message(
            "The text contains a NUL character (U+0000) at character %(place)s.", place=place
        )
    if len(found) == 1:
        return Message(
            "The text contains half of a surrogate pair (U+%(ord)s) at character %(place)s. It "
            "was damaged before it was sent.",
            ord=f"{ord(found):04X}",
            place=place,
        )
    return Message(
        "The text contains %(found)s at character %(place)s, which models read as a command.",
        found=found,
        place=place,
    )


def normalise_newlines(text: str) -> str:
    """The text as a browser's textarea holds it: every CRLF and lone CR is LF."""
    return _NEWLINE.sub("\n", text)


def keep_newlines(base: str, typed: str) -> str:
    """What was typed, with base's own CRLF and CR wherever the text was not changed.

    typed: what a form sent back after base was edited in a textarea, in any newline form. An
    unchanged text comes back as base, exactly; newlines that were typed are LF. The result always
    reads as typed: normalise_newlines gives the same for both.
    """
    typed = normalise_newlines(typed)
    normal = normalise_newlines(base)
    if normal == typed:
        return base
    if normal == base:
        return typed
    origin = _origins(base)
    kept: list[str] = []
    at = 0
    for change in diff(normal, typed):
        run = change.text
        if change.op is not Op.INSERT:
            end = at + len(run)
            run = base[origin[at] : origin[end]] if change.op is Op.EQUAL else ""
            at = end
        # A lone CR and an LF that meet only now would read as one newline: the LF follows suit.
        if kept and kept[-1].endswith("\r"):
            rest = run.lstrip("\n")
            run = "\r" * (len(run) - len(rest)) + rest
        if run:
            kept.append(run)
    return "".join(kept)


def language(text: str) -> str:
    """The language for the lang attribute, by script: "ja" where kana are at least a tenth of the
    East Asian characters, else "ko" or "zh" where Hangul or Han are at least a fifth of all
    letters, "en" otherwise (every other script too: the tag only picks fonts and line breaks)."""
    han, kana, hangul = (len(script.findall(text)) for script in (_HAN, _KANA, _HANGUL))
    letters = sum(map(str.isalpha, text))
    if 5 * (han + kana + hangul) < max(1, letters):
        return "en"
    if kana * 10 >= han + kana + hangul:
        return "ja"
    return "ko" if hangul > han else "zh"


def _origins(base: str) -> list[int]:
    """Where in base each character of its normalised form stands, and base's length at the end."""
    skipped = {match.start() + 1 for match in re.finditer("\r\n", base)}
    return [at for at in range(len(base) + 1) if at not in skipped]
