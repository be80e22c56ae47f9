"""The options of commands that ask a server: which one, how one is started, and who asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reward_servers.cli._errors import UserError

if TYPE_CHECKING:
    from trainer_client import TLS

Asked = Annotated[str, typer.Argument(metavar="VERIFIER", help="Name, name@version, or module:attribute.")]
Options = Annotated[str | None, typer.Option(metavar="JSON", help="Options for the verifier.")]
Endpoint = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="A running server; one is started unless said.")
]
ServerSettings = Annotated[Path | None, typer.Option(help="Settings file of the server that is started.")]
With = Annotated[
    list[str] | None, typer.Option("--with", metavar="NAME", help="Also host what the verifier asks. Repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Ca = Annotated[
    Path | None, typer.Option("--ca", metavar="PEM", help="Authority to trust; running servers are asked over TLS.")
]
Cert = Annotated[
    Path | None, typer.Option("--cert", metavar="PEM", help="Certificate of this client, for servers that ask for one.")
]
Key = Annotated[Path | None, typer.Option("--key", metavar="PEM", help="Its private key.")]
Token = Annotated[
    str | None,
    typer.Option(envvar="ASSAY_TOKEN", help="Bearer token for servers that ask for one, or file:PATH."),
]


def tls_of(ca: Path | None, cert: Path | None, key: Path | None) -> TLS | None:
    """The files that were named; None when none was.

    Raises:
        UserError: A certificate comes without its key, or a key without its certificate.
    """
    if (cert is None) != (key is None):
        raise UserError("--cert and --key go together; give both")
    if ca is None and cert is None:
        return None
    from trainer_client import TLS

    return TLS(*(str(file) if file is not None else None for file in (ca, cert, key)))
