"""The processor `llm.run`: an instruction carried out on a text, however long, by a language model."""

from helixnet.processors.llm.run import RUN

PROCESSORS = (RUN,)

__all__ = ["PROCESSORS", "RUN"]
