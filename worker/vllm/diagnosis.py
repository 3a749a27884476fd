"""Why a vLLM server ended, read from its log: a sentence that says what to do."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """message: for an admin. final: starting it again as it is would end the same way."""

    message: str
    final: bool


# The lines of vLLM 0.32, PyTorch and Hugging Face. The first that is found holds.
_KNOWN: tuple[tuple[str, str, bool], ...] = (
    (
        r"error: unrecognized arguments?: (?P<what>.+)",
        "vLLM does not know the option {what}. Is it at least version 0.32?",
        True,
    ),
    (
        r"vllm serve: error: (?P<what>.+)|api_server\.py: error: (?P<else>.+)",
        "vLLM does not take its options: {what}",
        True,
    ),
    (
        r"No module named '(?P<what>[\w.]+)'",
        "vLLM is not installed completely: the Python module {what} is missing.",
        True,
    ),
    (
        r"Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver"
        r"|no NVIDIA GPU detected|driver version is insufficient|NVML Shared Library Not Found",
        "vLLM finds no GPU that it can use on this machine. Does nvidia-smi show one?",
        True,
    ),
    (
        r"Free memory on device \S+ \((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\)"
        r".*?GPU memory utilization \((?P<share>[\d.]+)",
        "Other programs hold the GPU's memory: {free} of {total} GiB are free, and vLLM wants "
        "{share} of all. End them, or give a lower --gpu-memory-utilization.",
        False,
    ),
    (
        r"To serve at least one request with the models?'s max seq len \(?(?P<length>\d+)",
        "The GPU's memory does not hold one text of {length} tokens beside the model. "
        "Give a smaller --max-model-len or a smaller model.",
        True,
    ),
    (
        r"No available memory for the cache blocks",
        "The model fills the GPU's memory: none is left for texts. Give a higher "
        "--gpu-memory-utilization, a smaller model or more GPUs (--tensor-parallel-size).",
        True,
    ),
    (
        r"OutOfMemoryError|CUDA out of memory|HIP out of memory",
        "The GPU has too little memory for this model. Use a smaller or quantised model, a "
        "smaller --max-model-len, or more GPUs (--tensor-parallel-size).",
        True,
    ),
    (
        r"MemoryError|DefaultCPUAllocator: can't allocate memory|Cannot allocate memory",
        "This machine has too little memory for the model.",
        True,
    ),
    (
        r"gated repo|Access to model (?P<what>\S+) is restricted",
        "The model may be loaded only by those who have accepted its terms: set HF_TOKEN.",
        True,
    ),
    (
        r"(?P<what>\S+) is not a local folder and is not a valid model identifier"
        r"|Repo id must be .*?: '(?P<else>[^']+)'|Repository Not Found for url"
        r"|Invalid repository ID or local directory specified: '(?P<third>[^']+)'"
        r"|Error retrieving file list.*|Can't load the configuration of '(?P<fourth>[^']+)'",
        "There is no model {what}: neither a directory here nor a name at the model hub.",
        True,
    ),
    (
        r"LocalEntryNotFoundError|OfflineModeIsEnabled|couldn't connect to|Max retries exceeded",
        "The model is not on this machine and cannot be loaded from the model hub.",
        False,
    ),
    (
        r"No space left on device",
        "A disk is full (of the models, or /dev/shm: give a container more shared memory).",
        False,
    ),
    (
        r"[Aa]ddress already in use",
        "Another program listens on vLLM's port. End it, or give another port.",
        False,
    ),
    (
        r"Model architectures? \[?'?(?P<what>\w+)'?\]? (?:are|is) not supported",
        "This vLLM does not know models of the kind {what}.",
        True,
    ),
    (
        r"EngineDeadError|EngineCore (?:encountered|died)|Engine core proc\w* died",
        "The engine of vLLM died.",
        False,
    ),
)
_PATTERNS = [(re.compile(pattern), said, final) for pattern, said, final in _KNOWN]
_ERROR = re.compile(
    r"^(?:\(.*?\) )?(?:ERROR .*?\] )?([A-Z]\w*(?:Error|Exception): .+)$", re.MULTILINE
)


def diagnose(log: str) -> Diagnosis | None:
    """What the log of a server that has ended says; None when nothing in it is known."""
    for pattern, said, final in _PATTERNS:
        match = pattern.search(log)
        if match:
            groups = {name: value for name, value in match.groupdict().items() if value}
            what = next(
                (groups[name] for name in ("what", "else", "third", "fourth") if name in groups),
                "of that name",
            )
            return Diagnosis(said.format(**{**groups, "what": what.strip().rstrip(".")}), final)
    errors = _ERROR.findall(log)
    if errors:
        return Diagnosis(f"vLLM ended: {errors[-1].strip()[:300]}", final=False)
    return None
