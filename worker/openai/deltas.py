"""What a server's stream says, as deltas with the certainty of each token."""

import codecs
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.domain.certainty import Token
from worker.engine import Delta, EngineError
from worker.openai.failures import said_in_stream
from worker.openai.malformed import (
    another_form,
    error_in,
    no_choice,
    no_json,
    no_reason,
    no_utf8,
)
from worker.openai.seam import Seam
from worker.openai.shapes import misplaced

STOP = "stop"
# The text ended at a limit of tokens.
LENGTH = "length"
# The text ended at one of the project's stop strings: the model would have gone on.
STOP_STRING = "stop string"
_DONE = b"[DONE]"
_NO_LOGPROB = -9999.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost, in tokens. cached: of the prompt's; None when the server does not say.

    Chunks are not tokens: only this counts them.
    """

    prompt: int
    cached: int | None
    completion: int


@dataclass(frozen=True, slots=True)
class ModelDelta(Delta):
    """A delta of a model. usage: on the last one, None when the server does not say.

    Where tokens and text do not agree (a server that masks tokens), no more tokens come.
    """

    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A text with its tokens: where each ends in code points, -1 inside of a character."""

    text: str
    ids: Sequence[int]
    ends: Sequence[int]


class Reader:
    """Puts the events of one chat or generate stream together.

    prefix: the text that is continued; a server that shows the prompt it made must end it so.
    stop: the stop strings that were asked for. seam: holds the first words back until it is sure
    that they continue the prefix; None where that needs no proof.
    """

    def __init__(
        self, *, prefix: str = "", stop: tuple[str, ...] = (), seam: Seam | None = None
    ) -> None:
        self.request_id: str | None = None
        self.finished = False
        self._prefix = prefix
        self._stop = stop
        self._seam = seam or Seam()
        self._chosen = False
        self._text = ""
        self._given = 0
        self._stop_reason: str | None = None
        self._usage: Usage | None = None
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._at = 0
        self._waiting: deque[tuple[Token, str]] = deque()
        self._aligned = True
        self._ids: list[int] = []
        self._ends: list[int] = []

    @property
    def stopped(self) -> bool:
        """The reason of the end is known; only the usage may still come."""
        return self._stop_reason is not None

    @property
    def over(self) -> bool:
        """All of the text has come, whether its reason is known or not."""
        return self.stopped or self.finished

    @property
    def length(self) -> int:
        """Code points of text that have come so far."""
        return len(self._text)

    def take(self, event: bytes) -> None:
        """Read one event. Raises EngineError for what the server says went wrong, and for an event
        that is no chunk of a chat completion; nothing of such an event is taken.
        """
        if event.strip() == _DONE:
            self.finished = True
            return
        chunk = _parsed(event)
        if (error := error_in(chunk)) is not None:
            raise said_in_stream(error)
        wrong = misplaced(chunk)
        if wrong is not None:
            raise another_form(event, wrong)
        if self.request_id is None:
            self.request_id = chunk.get("id") or chunk.get("request_id")
        if chunk.get("prompt_text") is not None:
            self._verify(chunk["prompt_text"])
        if chunk.get("usage"):
            self._usage = _usage(chunk["usage"])
        for choice in chunk.get("choices") or ():
            if (choice.get("index") or 0) == 0:
                self._chosen = True
                self._take_choice(choice)

    def close(self) -> None:
        """The stream is at its end. Raises EngineError unless the server has said why."""
        if not self.stopped:
            raise no_reason() if self._chosen else no_choice()
        self.finished = True

    def delta(self) -> ModelDelta | None:
        """What has come since the last call; None if nothing. The last one comes at the end.

        The reason of the end is given once the stream is finished, together with the usage.
        Raises EngineError for text that does not continue the prefix.
        """
        if not self._seam.settled(self._text, ended=self.finished):
            return None
        text = self._text[self._given :]
        tokens = self._ready()
        reason = self._stop_reason if self.finished else None
        if not text and not tokens and reason is None:
            return None
        self._given = len(self._text)
        return ModelDelta(text, reason, tokens, self._usage if reason else None)

    def written(self) -> Written | None:
        """The text up to the last whole token that is in it; None where ids or places lack."""
        if not self._aligned or len(self._ids) != len(self._ends):
            return None
        for count in range(len(self._ends), 0, -1):
            end = self._ends[count - 1]
            if 0 <= end <= len(self._text):
                return Written(self._text[:end], self._ids[:count], self._ends[:count])
        return None

    def _take_choice(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta") or {}
        if delta.get("reasoning_content") or delta.get("reasoning"):
            raise EngineError(
                "The model server splits its output into reasoning and answer. It must be "
                "started without a reasoning parser. Tell your admin.",
                temporary=False,
            )
        self._text += delta.get("content") or choice.get("text") or ""
        for entry in (choice.get("logprobs") or {}).get("content") or ():
            self._place(entry)
        self._ids += choice.get("token_ids") or ()
        if choice.get("finish_reason"):
            self._stop_reason = self._reason(choice)

    def _reason(self, choice: dict[str, Any]) -> str:
        """Why the text ended: STOP only when the model itself ended it."""
        reason = str(choice["finish_reason"])
        if reason in ("abort", "error"):
            raise EngineError(
                "The model server stopped in the middle of the text. The text so far is kept.",
                temporary=True,
            )
        if reason != "stop" or not self._stop:
            return reason
        # vLLM says stop_reason, SGLang matched_stop: a string that was asked for, a token's id or,
        # for the end of the turn, nothing. Who does not say leaves it open.
        for key in ("stop_reason", "matched_stop"):
            if key in choice:
                return STOP_STRING if isinstance(choice[key], str) else STOP
        return STOP_STRING

    def _place(self, entry: dict[str, Any]) -> None:
        """Give a token its place by its bytes: text comes later than its tokens, and in one piece
        where several tokens make up a character.
        """
        raw = entry.get("bytes")
        token = str(entry.get("token", ""))
        logprob = entry.get("logprob")
        decoded = self._utf8.decode(bytes(raw) if raw is not None else token.encode())
        start, self._at = self._at, self._at + len(decoded)
        unfinished = bool(self._utf8.getstate()[0])
        self._ends.append(self._at if not unfinished else -1)
        # A token without its probability is left out: what is not known is not certain.
        if self._aligned and logprob is not None:
            placed = Token(start, self._at + unfinished, max(float(logprob), _NO_LOGPROB))
            self._waiting.append((placed, decoded))

    def _ready(self) -> tuple[Token, ...]:
        found = []
        while self._waiting and self._waiting[0][0].end <= len(self._text):
            token, text = self._waiting.popleft()
            if not self._text.startswith(text, token.start):
                self._aligned = False
                self._waiting.clear()
                break
            found.append(token)
        return tuple(found)

    def _verify(self, prompt: str) -> None:
        if not prompt.endswith(self._prefix):
            raise EngineError(
                "The model server does not continue the existing text: its chat template "
                "changes or closes it. Tell your admin.",
                temporary=False,
            )
        self._seam.trust()


def _parsed(event: bytes) -> dict[str, Any]:
    """The JSON object that an event is. Raises EngineError."""
    try:
        chunk = orjson.loads(event)
    except orjson.JSONDecodeError as error:
        try:
            event.decode()
        except UnicodeDecodeError:
            raise no_utf8() from error
        raise no_json(event) from error
    if not isinstance(chunk, dict):
        raise another_form(event, "chunk")
    return chunk


def _usage(said: dict[str, Any]) -> Usage:
    details = said.get("prompt_tokens_details") or {}
    return Usage(
        prompt=int(said.get("prompt_tokens") or 0),
        cached=details.get("cached_tokens"),
        completion=int(said.get("completion_tokens") or 0),
    )
