"""The last words of vLLM servers, and what an admin reads."""

import pytest

from worker.vllm.diagnosis import diagnose


@pytest.mark.parametrize(
    ("log", "words", "final"),
    [
        (
            "usage: vllm [-h] [-v]\nvllm: error: unrecognized arguments: --enable-scale-aut 5\n",
            "does not know the option --enable-scale-aut 5.",
            True,
        ),
        (
            "vllm serve: error: argument --dtype: invalid choice: 'float31'\n",
            "argument --dtype: invalid choice: 'float31'",
            True,
        ),
        (
            "ModuleNotFoundError: No module named 'vllm'\n",
            "the Python module vllm is missing",
            True,
        ),
        ("RuntimeError: No CUDA GPUs are available\n", "finds no GPU", True),
        (
            "ValueError: Free memory on device cuda:0 (3.4/79.2 GiB) on startup is less than "
            "desired GPU memory utilization (0.9, 71.3 GiB). Decrease GPU memory utilization\n",
            "3.4 of 79.2 GiB are free, and vLLM wants 0.9 of all",
            False,
        ),
        (
            "ValueError: To serve at least one request with the model's max seq len (131072), "
            "(14.0 GiB KV cache is needed, which is larger than the available\n",
            "does not hold one text of 131072 tokens",
            True,
        ),
        ("ValueError: No available memory for the cache blocks. Try\n", "fills the GPU", True),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to\n", "too little memory", True),
        (
            "OSError: /models/lecturer is not a local folder and is not a valid model identifier\n",
            "There is no model /models/lecturer:",
            True,
        ),
        (
            "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or "
            "'namespace/repo_name': '/no/such/model'. Use `repo_type` argument if needed.\n",
            "There is no model /no/such/model:",
            True,
        ),
        (
            "OSError: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8100): "
            "address already in use\n",
            "Another program listens",
            False,
        ),
        (
            "vllm.v1.engine.exceptions.EngineDeadError: EngineCore\n",
            "The engine of vLLM died",
            False,
        ),
        (
            "(APIServer pid=7) Traceback\n(APIServer pid=7) ValueError: Something new is wrong\n",
            "vLLM ended: ValueError: Something new is wrong",
            False,
        ),
    ],
)
def test_known_ends_have_a_sentence(log: str, words: str, final: bool) -> None:
    found = diagnose(f"INFO something before\n{log}INFO something after\n")
    assert found is not None
    assert words in found.message
    assert found.final is final


def test_an_end_without_words_is_not_guessed_at() -> None:
    assert diagnose("INFO Started server process [7]\nINFO Application startup complete.\n") is None
