"""Named sets of tasks for `--preset`."""

from __future__ import annotations

from dataclasses import dataclass

from rlvr_harness.errors import UnknownName, UsageError
from rlvr_harness.run_spec import DEFAULT_MAX_GEN_TOKS, DEMO_PREFIX, SAMPLING_DEFAULTS, RunSpec


@dataclass(frozen=True)
class Preset:
    """A set of tasks with the reason it exists."""

    name: str
    tasks: tuple[str, ...]
    description: str

    def line(self) -> str:
        """What `ls presets` says: tasks with the n of each (k is n, or --k where that is less), law and reason."""
        law = f"T {SAMPLING_DEFAULTS['temperature']:g}, top-p {SAMPLING_DEFAULTS['top_p']:g}"
        return f"{self.name}\t{' '.join(self.tasks)}: {self.description}; {law}, {DEFAULT_MAX_GEN_TOKS:,} tokens"


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "yue-math",
            ("gsm8k:128", "math500:128", "minerva:128", "olympiadbench:128", "aime24:1024", "amc23:1024"),
            "the six maths benchmarks of arXiv:2504.13837 with its samples per problem",
        ),
        Preset(
            "yue-algorithms",
            ("omni_math_train:256", "omni_math_test:256", "math500:256"),
            "the benchmarks on which arXiv:2504.13837 compares training algorithms",
        ),
        Preset(
            "yue-code",
            ("humanevalplus:128", "mbppplus:128", "livecodebench@2024-08..2025-01:128"),
            "the code benchmarks of arXiv:2504.13837; its DeepCoder pair: --gen_kwargs max_gen_toks=32768, 64 samples",
        ),
        Preset(
            "yue-vision",
            ("mathvista:128", "mathvision:128"),
            "the free-form halves of the two benchmarks with pictures of arXiv:2504.13837",
        ),
        Preset(
            "leash-math",
            ("math500:1024", "minerva:1024", "olympiadbench:1024", "aime24:1024", "aime25:1024", "amc23:1024"),
            "the maths benchmarks of arXiv:2507.14843, all at n = 1024 so that support sets are comparable",
        ),
        Preset("demo", ("countdown",), "the embedded Countdown puzzles, made for the embedded demo/* models"),
    )
}
DEFAULT_PRESET = "yue-math"


def tasks_of(spec: RunSpec) -> dict[str, int | None]:
    """Task -> samples per problem where it has a number of its own, as in `gsm8k:128`, else None.

    The tasks as named, or the preset's, or `countdown` for demo models, or the default preset's.
    """
    if spec.tasks:
        return dict(_named(task) for task in spec.tasks)
    demo = all(path.startswith(DEMO_PREFIX) for path in spec.models.values())
    name = spec.preset or ("demo" if demo else DEFAULT_PRESET)
    if name not in PRESETS:
        raise UnknownName(f"no preset named '{name}'; there are: {', '.join(sorted(PRESETS))}")
    return dict(_named(task) for task in PRESETS[name].tasks)


def _named(task: str) -> tuple[str, int | None]:
    """(name, n). "gsm8k:128" -> ("gsm8k", 128); "reasoning_gym:chain_sum" -> ("reasoning_gym:chain_sum", None)."""
    name, colon, number = task.rpartition(":")
    if not colon or not number.isdecimal():
        return task, None
    if int(number) < 1:
        raise UsageError(f"task '{task}' asks for no samples; give a number above 0")
    return name, int(number)
