"""TensorFlow 1's log: Python's logger with the name "tensorflow"."""

from __future__ import annotations

import logging

__all__ = ["DEBUG", "ERROR", "FATAL", "INFO", "WARN", "error", "info", "set_verbosity", "warning"]

DEBUG, ERROR, FATAL, INFO, WARN = logging.DEBUG, logging.ERROR, logging.FATAL, logging.INFO, logging.WARNING
_log = logging.getLogger("tensorflow")
set_verbosity, error, info, warning = _log.setLevel, _log.error, _log.info, _log.warning
