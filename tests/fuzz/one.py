"""One target under the fuzzer, in a process of its own: atheris ends it when the time is over.

    python -m tests.fuzz.one TARGET [libFuzzer's options and folders]

The project's modules are watched as they are imported, so nothing of it may be imported before.
"""

import sys

import atheris

from tests.fuzz.targets import PROJECT, checker


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    target, *options = sys.argv[1:]
    with atheris.instrument_imports(include=[*PROJECT, "tests.fuzz"], enable_loader_override=False):
        check = checker(target)
    atheris.enabled_hooks.add("RegEx")
    atheris.Setup([sys.argv[0], *options], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
