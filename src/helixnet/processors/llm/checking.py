"""Hold an answer to a JSON Schema, in a process of its own that has nothing else to lose.

Both come from outside: a schema can take for ever, or more memory than there is. Run as a program it reads
`{"schema": …, "answer": … or null}` and writes `{"schema_error": …}` or `{"violations": […]}`; it imports nothing of
HelixNet, and starts in a fraction of the time.
"""

import json
import sys

MEMORY_BYTES = 512 * 1024**2
CPU_SECONDS = 10
MOST_VIOLATIONS = 20
LONGEST_VIOLATION = 300


def check(schema: object, answer: str | None) -> dict[str, object]:
    """What is wrong with the schema, or with the answer; nothing of an answer of None."""
    import jsonschema_rs

    try:
        # Nothing is fetched, and patterns take time in proportion to the text.
        validator = jsonschema_rs.validator_for(
            schema,  # type: ignore[arg-type] # whatever it is, it is told if it is no schema
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except ValueError as error:
        return {"schema_error": str(error)[:LONGEST_VIOLATION]}
    if answer is None:
        return {"violations": []}
    try:
        value = json.loads(answer, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return {"violations": [f"It is not JSON: {error}."[:LONGEST_VIOLATION]]}
    found: list[str] = []
    for violation in validator.iter_errors(value):
        path = "/".join(str(step) for step in violation.instance_path)
        found.append(f"/{path}: {violation.message}"[:LONGEST_VIOLATION])
        if len(found) == MOST_VIOLATIONS:
            break
    return {"violations": found}


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def main() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    asked = json.load(sys.stdin)
    json.dump(check(asked["schema"], asked["answer"]), sys.stdout)


if __name__ == "__main__":
    main()
