"""Checks before the page starts: its address and its temporary folder."""

import errno
import socket
import tempfile
from pathlib import Path

from page.options import Options
from segmentation import PixelwiseError


def check_address(options: Options) -> None:
    """Test that the page can listen on its address.

    Raises:
        PixelwiseError: it cannot; the message has the address, the cause and the remedy.
    """
    from page.gradio_internals import INITIAL_PORT_VALUE, LOCALHOST_NAME, TRY_NUM_PORTS

    host = options.host or LOCALHOST_NAME
    first = options.port or INITIAL_PORT_VALUE
    ports = range(first, first + (1 if options.port else TRY_NUM_PORTS))
    for port in ports:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            with socket.create_server((host, port), family=family):
                return
        except (OSError, UnicodeError) as error:
            if getattr(error, "errno", 0) != errno.EADDRINUSE:
                raise PixelwiseError(_address_error(host, port, error)) from error
    if options.port:
        raise PixelwiseError(
            f"port {options.port} is in use: stop the program that listens on it, or name another "
            "with --port"
        )
    raise PixelwiseError(
        f"no port from {ports.start} to {ports.stop - 1} is free: name one with --port"
    )


def check_folder(folder: Path) -> None:
    """Test that the folder for uploads and results can be written.

    Raises:
        PixelwiseError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PixelwiseError(folder_error(error, folder)) from error


def folder_error(error: OSError, folder: Path | None = None) -> str:
    """Return the error message for a folder that cannot be written."""
    name = folder or error.filename
    return (
        f"the folder for uploads and results, {str(name)!r}, cannot be written "
        f"({error.strerror or error}): set GRADIO_TEMP_DIR to one that can, or make room"
    )


def _address_error(host: str, port: int, error: Exception) -> str:
    number = getattr(error, "errno", 0)
    if isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
        return (
            f"this machine has no address {host!r}: leave out --host, or name one that it has "
            "(0.0.0.0 for all)"
        )
    if number in (errno.EACCES, errno.EPERM):
        return f"port {port} is not allowed here: name one from 1024 with --port"
    return f"cannot listen on {host!r}, port {port}: {getattr(error, 'strerror', None) or error}"
