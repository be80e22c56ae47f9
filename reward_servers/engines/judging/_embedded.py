"""A judge in this process: a local model that chooses among the verdicts, with no network."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from reward_servers.engines.judging._asks import Spelling
from reward_servers.engines.judging._backend import CompletionRequest
from reward_servers.engines.judging._completion import ChatRejectedError, ChatUnavailableError, Completion, Token

if TYPE_CHECKING:
    from reward_servers.engines.models import Chooser


class EmbeddedModel:
    """A causal language model from local files.

    It writes no free text where a verdict is asked for: of the texts that may stand at the verdict's place it takes the
    likeliest. How likely they are together must reach a floor, or it has no opinion.
    """

    def __init__(self, path: Path, *, device: str, dtype: str, threads: int, max_length: int, max_tokens: int) -> None:
        """Load the model.

        Args:
            path: A directory with configuration, tokenizer and safetensors weights, or one GGUF file.
            device: Where to run, such as ``"cpu"`` or ``"cuda:0"``.
            dtype: Name of a floating-point type of torch.
            threads: Threads of this process for computing on the CPU; 0 leaves the choice to torch.
            max_length: Tokens of a conversation at most; less when the model takes fewer.
            max_tokens: Tokens of a free reply at most.

        Raises:
            ModelUnusableError: The files cannot be used.
            ImportError: torch, transformers or gguf is missing.
        """
        from reward_servers.engines.models import Chooser, load_causal

        self._chooser: Chooser = Chooser(load_causal(path, device=device, dtype=dtype, threads=threads), max_length)
        self._max_tokens = max_tokens
        self._name = path.name
        # One at a time: the model uses all the threads that it was given, and its sums must not depend on the others.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge-model")

    @property
    def identity(self) -> str:
        """The model's digest."""
        return f"{self._chooser.fingerprint} {self._max_tokens}"

    async def ask(self, request: CompletionRequest, *, budget: float, jitter: Random) -> Completion:
        """Choose a verdict, or write freely.

        Raises:
            ChatRejectedError: The conversation is too long, or its template refuses it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, request)

    def facts(self) -> dict[str, str]:
        """What it can do: it chooses among the verdicts, and knows how likely each is."""
        return {self._name: "logprobs yes, json_schema yes, seed no, n no"}

    async def close(self) -> None:
        """End its thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _answer(self, request: CompletionRequest) -> Completion:
        from reward_servers.engines.models import EncodingError, TooLongError

        if not all(isinstance(message["content"], str) for message in request.messages):
            raise ChatRejectedError(f"{self._name} reads no pictures", "no_images")
        try:
            opening = self._chooser.begin([(message["role"], message["content"]) for message in request.messages])
            return self._write(opening) if request.spelling is None else self._choose(opening, request.spelling)
        except TooLongError as error:
            raise ChatRejectedError(str(error), "context") from None
        except EncodingError as error:
            raise ChatRejectedError(str(error)) from None
        except (ArithmeticError, MemoryError) as error:
            raise ChatUnavailableError(f"{self._name}: {error}") from None
        except RuntimeError as error:
            # torch raises one type for everything; that the device has no memory is none of a candidate's doing.
            raise ChatUnavailableError(f"{self._name}: {str(error).splitlines()[0][:200]}") from None

    def _choose(self, opening: str, spelling: Spelling) -> Completion:
        tokens: list[Token] = []
        text = ""
        for slot in spelling.slots:
            chances = self._chooser.choose(opening + text + slot.lead, slot.choices)
            best = max(range(len(chances)), key=lambda place: chances[place])
            alternatives = {
                choice: math.log(chance) for choice, chance in zip(slot.choices, chances, strict=True) if chance > 0
            }
            tokens += [Token(slot.lead, {})] if slot.lead else []
            tokens.append(Token(slot.choices[best], alternatives))
            text += slot.lead + slot.choices[best]
        tokens.append(Token(spelling.tail, {}))
        return self._completion(opening, text + spelling.tail, "stop", tuple(tokens), len(spelling.slots))

    def _write(self, opening: str) -> Completion:
        text, ended = self._chooser.write(opening, self._max_tokens)
        return self._completion(opening, text, "stop" if ended else "length", (), self._chooser.tokens(text))

    def _completion(
        self, opening: str, text: str, finish_reason: str, tokens: tuple[Token, ...], output_tokens: int
    ) -> Completion:
        input_tokens = self._chooser.tokens(opening)
        return Completion(
            text, finish_reason, self._name, self._chooser.fingerprint, input_tokens, output_tokens, tokens
        )
