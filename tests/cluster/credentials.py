"""Certificates, keys and kubeconfig files of a control plane, written into one folder."""

import json
import ssl
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ADMINISTRATORS = "system:masters"


class Credentials:
    """An authority of its own, and all that it vouches for; `server` is the API server's address, `host:port`."""

    def __init__(self, folder: Path, server: str, names: list[str]) -> None:
        self._folder = folder
        self._server = server
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(self.authority)
        serving = self._authority.issue_cert(*names)
        serving.private_key_pem.write_to_path(folder / "server.key")
        (folder / "server.crt").write_bytes(b"".join(blob.bytes() for blob in serving.cert_chain_pems))
        self.signing_key = ec.generate_private_key(ec.SECP256R1())
        """Signs the tokens of ServiceAccounts."""
        (folder / "tokens.key").write_bytes(
            self.signing_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / "tokens.pub").write_bytes(
            self.signing_key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    @property
    def authority(self) -> Path:
        """The authority's certificate (PEM), which clients verify the API server with."""
        return self._folder / "ca.crt"

    def user(self, name: str, group: str = "") -> Path:
        """A kubeconfig file of a user with a client certificate."""
        # Without any alternative name that extension would be empty, and critical, which Go does not understand.
        certificate = self._authority.issue_cert("user.test", common_name=name, organization_name=group or None)
        pem = self._folder / f"{name.replace(':', '-')}.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(pem)
        return self._kubeconfig(name, {"client-certificate": str(pem), "client-key": str(pem)})

    def bearer(self, name: str, token: str, *, server: str = "") -> Path:
        """A kubeconfig file of a user with a token, which stands in a file next to it and may be replaced there.

        `server` is another address of the API server, as pods see it.
        """
        file = self._folder / f"{name}.token"
        file.write_text(token)
        return self._kubeconfig(name, {"tokenFile": str(file)}, server=server)

    def context(self, user: str = "") -> ssl.SSLContext:
        """For a client that trusts the authority, and is that user if one is given whom `user` has made."""
        context = ssl.create_default_context(cafile=self.authority)
        if user:
            context.load_cert_chain(self._folder / f"{user.replace(':', '-')}.pem")
        return context

    def _kubeconfig(self, name: str, user: dict[str, str], *, server: str = "") -> Path:
        cluster = {"server": f"https://{server or self._server}", "certificate-authority": str(self.authority)}
        file = self._folder / f"{name.replace(':', '-')}.kubeconfig"
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "plane", "cluster": cluster}],
                    "users": [{"name": name, "user": user}],
                    "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": name}}],
                    "current-context": "plane",
                }
            )
        )
        return file
