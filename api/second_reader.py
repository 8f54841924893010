"""The second reader that the environment configures, if any.

PILOTHOUSE_LLM names the model, PILOTHOUSE_LLM_URL an OpenAI-compatible server's base address.
"""

import os

from planner.intent.second_reader import SecondReader


def configured_reader() -> SecondReader | None:
    """The reader of this process's environment; None where none is configured."""
    model = os.environ.get("PILOTHOUSE_LLM", "").strip()
    if not model:
        return None
    from planner.intent.pydantic_ai_reader import PydanticAiReader

    return PydanticAiReader(model, os.environ.get("PILOTHOUSE_LLM_URL", "").strip())
