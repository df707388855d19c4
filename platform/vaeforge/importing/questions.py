"""Questions of an import: all of them asked at once, those that stop a reading among them.

What stops a reading (which classes are normal, what the pages of a file are) is a `QuestionError` with an answer that
is likely. The source is then read again as if that had been given, so that the user is told of everything else that is
open and answers once.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaeforge.errors import DataError, QuestionError
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, Question

MOST = 8  # readings, of which each answers one question


def read_asking(how: ImportFormat, place: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """Read the source at `place`; `log` takes what is noted, left out and asked.

    What was read under likely answers is there to be looked at alone: `settle` refuses it.

    Raises:
        DataError: as `how.parse`.
        QuestionError: if the source cannot be read further without an answer; the log has the questions.
    """
    asked: list[Question] = []
    error: DataError | None = None
    content: ParsedSource | None = None
    for _ in range(MOST):
        own, error = ImportLog(), None
        try:
            content = how.parse(place, options, own)
        except QuestionError as question:
            asked.append(Question(str(question), None, _as_if(question.likely)))
            if question.likely:
                options = replace(options, **question.likely)
                continue
        except DataError as refusal:
            error = refusal
        break
    log.quarantined += own.quarantined
    log.notes += own.notes
    log.questions += [*asked, *own.questions]
    if content is not None:
        return content
    raise QuestionError(told(log, options)) if asked or error is None else error


def settle(log: ImportLog, options: ImportOptions) -> None:
    """Note what is assumed where the user agrees to it.

    Raises:
        QuestionError: with all open questions, if the user does not, or nothing can be assumed.
    """
    if _open(log, options):
        raise QuestionError(told(log, options))
    log.notes += [f"assumed, as --yes was given: {question.assumed}" for question in log.questions]


def told(log: ImportLog, options: ImportOptions) -> str:
    """The open questions, a line each, and how they are answered; empty where there are none."""
    found = _open(log, options)
    if not found:
        return ""
    agreed = ", or agree with --yes true" if any(question.assumed is not None for question in found) else ""
    lines = [f"question: {line(question)}" for question in found]
    return "\n".join([*lines, f"nothing was written; answer with the options named{agreed}"])


def line(question: Question) -> str:
    """A question with what `--yes` makes of it."""
    if question.assumed is None:
        return f"{question.text}; --yes true does not answer it"
    return f"{question.text}; --yes true: {question.assumed}"


def _open(log: ImportLog, options: ImportOptions) -> list[Question]:
    return [question for question in log.questions if question.assumed is None or not options.yes]


def _as_if(likely: Mapping[str, Any]) -> str:
    """Options as the command line has them."""
    return " ".join(f"--{name.replace('_', '-')} {_plain(value)}" for name, value in likely.items())


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
