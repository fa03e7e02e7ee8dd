"""The settings themselves: what is missing, weak or open to the world."""

from urllib.parse import SplitResult, unquote, urlsplit

from helixnet.config import Settings
from helixnet.doctor.findings import Finding, error, note, ok, warning
from helixnet.walls import missing

NEEDED = ("database_url", "broker_url", "storage_url", "secret_key")
# Of so many different bytes is a random key of 32 bytes, all but surely.
FEWEST_DIFFERENT_BYTES = 12
# Passwords that servers come with, and that guides show.
WELL_KNOWN = {
    "guest",
    "admin",
    "password",
    "secret",
    "changeme",
    "postgres",
    "helix",
    "minioadmin",
    "rabbitmq",
    "redis",
}
LOOPBACK = {"", "localhost", "127.0.0.1", "::1"}
ENCRYPTED = {"amqps", "rediss"}


def examine(settings: Settings) -> list[Finding]:
    """What can be said without asking anybody."""
    found = [_needed(settings), _secret_key(settings), *_passwords(settings), *_in_the_open(settings)]
    if settings.profile == "production" and not settings.cookie_secure:
        found.append(
            warning(
                "settings.cookie_secure",
                "The session cookie is sent over plain HTTP too.",
                "Set HELIX_COOKIE_SECURE=true and serve the dashboard over HTTPS.",
            )
        )
    if settings.profile == "development" and not all(local(url) for url in _addresses(settings).values()):
        found.append(
            warning(
                "settings.profile",
                "The profile is development, with accounts whose passwords are public, and servers elsewhere are used.",
                "Set HELIX_PROFILE=production wherever anybody else can reach it.",
            )
        )
    return [finding for finding in found if finding is not None]


def walls(settings: Settings) -> list[Finding]:
    """Whether the kernel that this runs on keeps isolated processors from what they may not."""
    say = warning if settings.profile == "production" else note
    advice = "Run workers on Linux 6.12 or later, in containers that allow seccomp and Landlock."
    gaps = [say("processors.walls", f"For isolated processors {gap}.", advice) for gap in missing()]
    return gaps or [ok("processors.walls", "Isolated processors are behind all walls that the kernel can have.")]


def _needed(settings: Settings) -> Finding:
    missing = [f"HELIX_{name.upper()}" for name in NEEDED if not _text(settings, name)]
    if missing:
        return error(
            "settings.needed", f"Not set: {', '.join(missing)}.", "Set them, or name a running stack by --home."
        )
    return ok("settings.needed", f"All settings that must be set are ({settings.profile}).")


def _secret_key(settings: Settings) -> Finding | None:
    key = settings.secret_key.get_secret_value()
    if not key:
        return None
    different = len(set(key.encode()))
    if different < FEWEST_DIFFERENT_BYTES:
        return error(
            "settings.secret_key",
            f"HELIX_SECRET_KEY has only {different} different bytes: it can be guessed.",
            "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'.",
        )
    return ok("settings.secret_key", f"HELIX_SECRET_KEY has {len(key.encode())} bytes.")


def _passwords(settings: Settings) -> list[Finding]:
    if settings.profile != "production":
        return []
    found = []
    for name, address in _addresses(settings).items():
        password = unquote(address.password or "")
        if password and (password.lower() in WELL_KNOWN or password == unquote(address.username or "")):
            found.append(_well_known(f"HELIX_{name.upper()}"))
    if settings.storage_secret_key.get_secret_value().lower() in WELL_KNOWN:
        found.append(_well_known("HELIX_STORAGE_SECRET_KEY"))
    return found


def _well_known(variable: str) -> Finding:
    return error(
        "settings.passwords", f"{variable} has a password that everybody knows.", "Change it in the server and here."
    )


def _in_the_open(settings: Settings) -> list[Finding]:
    """Where passwords and data go over a network as they are."""
    if settings.profile != "production":
        return []
    found = []
    for name in ("broker_url", "cache_url"):
        address = _addresses(settings).get(name)
        if address is not None and not local(address) and address.scheme not in ENCRYPTED:
            found.append((f"HELIX_{name.upper()}", "amqps:// or rediss://"))
    endpoint = urlsplit(settings.storage_endpoint)
    if endpoint.scheme == "http" and endpoint.hostname not in LOOPBACK:
        found.append(("HELIX_STORAGE_ENDPOINT", "https://"))
    return [
        note(
            "settings.encryption",
            f"{variable} is not encrypted on its way.",
            f"Use {scheme}, unless the network between is yours alone.",
        )
        for variable, scheme in found
    ]


def local(address: SplitResult) -> bool:
    """Whether an address stays on this machine."""
    return (address.hostname or "") in LOOPBACK or address.scheme in {"unix", "redis+socket", "file"}


def _addresses(settings: Settings) -> dict[str, SplitResult]:
    found = {}
    for name in ("database_url", "broker_url", "cache_url"):
        try:
            address = urlsplit(_text(settings, name))
            address.port  # noqa: B018 - raises when it is none
        except ValueError:
            continue
        if address.scheme:
            found[name] = address
    return found


def _text(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)
