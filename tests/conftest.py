"""Who runs which tests, in which order, on which servers; and what tests tell at the end.

`make test` runs several testers at once (pytest-xdist). Tests that share a stack have one tester;
the long groups come first, so that the short ones fill what is left at the end.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.stack import RunningStack, running_stack

GROUPS = (
    "faults",
    "end_to_end",
    "integration/workers",
    "attack",
    "end_to_end/test_stops.py",
    "end_to_end/test_log_of_others.py",
    "end_to_end/workers",
    "end_to_end/test_links.py",
    "integration/persister",
    "contract",
    "integration/gateway",
    "integration/deploy",
    "integration/process",
    "integration/schemas",
    "simulation",
    "browser",
)
"""The long ones first. A test is in the group with the longest name that fits its path.

A folder's stack ends when its tester goes on elsewhere: so two groups of other folders come between
`end_to_end` and the rest of that folder, which has stacks of its own. The servers that all folders
share stay to the end: who uses them comes late.
"""
TOLD = "told"
# An example takes as long as it takes: beside other tests that is no fault of the code.
settings.register_profile("talklog", deadline=None)
settings.load_profile("talklog")
HERE = Path(__file__).parent
ROOT = HERE.parent


class FailuresAtOnce:
    """Names a test that failed when it fails: a long run that is cut has then said so much."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and reporter is not None:
            crash = getattr(report.longrepr, "reprcrash", None)
            reporter.write_line(f"\nFAILED {report.nodeid}: {str(crash)[:300]}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Only in the process that shows the results, not in each tester."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many as there are cores: each has stacks of processes beside it that work as well."""
    return max(2, min(4, os.cpu_count() or 1))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Give whole groups to testers."""
    return ByGroup(config, log)


class ByGroup(LoadScopeScheduling):
    """The next group, in the order of the tests, goes to the tester that is free first."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of((ROOT / nodeid.partition("::")[0]).relative_to(HERE))


def group_of(path: Path) -> str:
    """The group of a test file; a folder that is not named above is one by itself."""
    fitting = [name for name in GROUPS if path.is_relative_to(name)]
    return max(fitting, key=len, default=str(path.parent))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each group's tests together, in whatever order they are, so that its stack ends soon.

    A stack that nobody uses takes a fifth of a small machine. So those that several files share
    are not started before they are needed: who uses them comes last in the folder, behind the
    files that start their own.
    """

    def place(item: pytest.Item) -> tuple[int, str, str, bool]:
        path = item.path.relative_to(HERE)
        group = group_of(path)
        rank = GROUPS.index(group) if group in GROUPS else len(GROUPS)
        return rank, group, str(path.parent), _shares(item)

    items.sort(key=place)


def _shares(item: pytest.Item) -> bool:
    """Whether it uses a stack, or servers, that its file does not start for itself."""
    used = {"stack", "servers"} & {*getattr(item, "fixturenames", ())}
    return any(not hasattr(getattr(item, "module", None), name) for name in used)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Kafka with the topics, Postgres with the tables, Valkey; shared, so use own sessions."""
    with running_stack(tmp_path_factory.mktemp("servers"), servers_only=True) as stack:
        yield stack


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say something at the end of the run, whether the test passes or not: a seed, a table."""
    return partial(record_property, TOLD)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests told."""
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, text in report.user_properties if report.when == "call" else ():
            if name == TOLD:
                terminalreporter.section(report.nodeid)
                terminalreporter.write_line(str(text))
