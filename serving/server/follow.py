"""Follows a model config file, as TensorFlow Serving does with --model_config_file_poll_wait_seconds."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.server.config import ModelServerConfig, Options, read_model_config
from serving.server.errors import ServingError
from serving.server.manager import ModelManager

_log = logging.getLogger(__name__)


@contextmanager
def following(manager: ModelManager, options: Options) -> Iterator[None]:
    """Has changes of `options.config_file` count for as long as the context is open, in this event loop.

    A file that cannot be read or makes no sense changes nothing; it is told once, and tried again at every look: a
    label may wait for its version to be loaded.
    """
    if not (options.config_file and options.poll_seconds):
        yield
        return
    task = asyncio.ensure_future(_follow(manager, options.config_file, options.poll_seconds))
    try:
        yield
    finally:
        task.cancel()


async def _follow(manager: ModelManager, file: Path, seconds: float) -> None:
    loop, complaint = asyncio.get_running_loop(), ""
    taken: ModelServerConfig | None = None
    while True:
        try:
            config = await loop.run_in_executor(None, read_model_config, file)
            if config != taken:
                await manager.reload(config)
            taken, complaint = config, ""
        except ServingError as error:
            if error.message != complaint:
                _log.error("%s is not taken over, the configuration before counts: %s", file, error)
            complaint = error.message
        except Exception:  # noqa: BLE001 - a bug met with one file is not to end the watch
            _log.exception("%s could not be taken over", file)
        await asyncio.sleep(seconds)
