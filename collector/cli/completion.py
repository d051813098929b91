"""What a shell may offer next on the command line.

In: the words so far, the last one unfinished. Out: what they could go on with. The scripts for the shells ask the command
itself, so that they never know another version of it than is installed.
"""

from argparse import Action, ArgumentParser
from collections.abc import Sequence
from typing import Final

HIDDEN: Final = "__complete"
"""The subcommand that the scripts call; it is in no help."""

SCRIPTS: Final = {
    "bash": """_netmatrix() {
    local IFS=$'\\n'
    COMPREPLY=($(netmatrix %s -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _netmatrix netmatrix
""",
    "zsh": """#compdef netmatrix
_netmatrix() {
    local -a found=("${(@f)$(netmatrix %s -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    [[ -n "$found" ]] && compadd -a found || _files
}
compdef _netmatrix netmatrix
""",
    "fish": """complete -c netmatrix -a '(netmatrix %s -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
""",
    "kubectl": """#!/bin/sh
# kubectl asks this: save it as kubectl_complete-netmatrix, executable, on the PATH.
netmatrix %s -- "$@"
echo :4
""",
}
"""By shell; the `%s` is the hidden subcommand. Four is kubectl's directive not to offer files (cobra's ShellCompDirective)."""


def script(shell: str) -> str:
    """What a shell reads to complete the command."""
    return SCRIPTS[shell] % HIDDEN


def offers(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """What the last word, which may be empty, can become: subcommands, options, or the choices of the option before it."""
    *before, last = words or ("",)
    place, options = parser, _options(parser)
    value_of = None
    for word in before:
        if value_of is not None:
            value_of = None
        elif word in options:
            value_of = options[word] if options[word].nargs != 0 else None
        elif word in (below := _subcommands(place)):
            place = below[word]
            options = _options(place)
    if value_of is not None:
        found = [str(choice) for choice in value_of.choices or ()]
    elif last.startswith("-"):
        found = [word for word in options if word.startswith("--")]
    else:
        found = [str(choice) for action in place._get_positional_actions() for choice in action.choices or ()]  # noqa: SLF001 - see below
    return sorted(word for word in found if word.startswith(last))


# argparse says what it was told in private attributes only, which have stood for as long as it exists; every tool that
# completes for it reads them.
def _options(parser: ArgumentParser) -> dict[str, Action]:
    return parser._option_string_actions  # noqa: SLF001 - see above


def _subcommands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    for action in parser._get_positional_actions():  # noqa: SLF001 - see above
        if isinstance(action.choices, dict):
            return action.choices
    return {}
