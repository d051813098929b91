import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def agent(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NETMATRIX_")}
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_wrong_setting_is_one_sentence_and_status_2() -> None:
    done = agent(NETMATRIX_COLLECTOR="collector")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("NETMATRIX_COLLECTOR must be a URL")


def test_help_names_every_variable() -> None:
    done = agent("--help")
    assert done.returncode == 0
    assert "NETMATRIX_MIN_INTERVAL" in done.stdout
    assert "once URL" in done.stdout


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert agent("--version").stdout == f"netmatrix {project['version']}\n"


def test_an_unknown_command_is_refused_with_the_usage() -> None:
    done = agent("fly")
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")


def test_an_agent_loads_neither_the_http_library_nor_colourful_tracebacks_until_it_needs_them() -> None:
    """14 and 5 MiB resident, on every node; what the developer's environment has besides must not matter."""
    script = (
        "import agent.__main__, agent.app, sys; print({'aiohttp', 'email', 'numpy'} & set(sys.modules), sys.modules['rich'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set() None\n"
