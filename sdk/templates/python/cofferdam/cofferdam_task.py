"""What a task in Python is written with: params and results as plain values,
inputs and outputs as paths, failures with a reason.
"""

# Names of hosts are written in it, and a running task finds no module any more.
import encodings.idna  # noqa: F401
import os
import pathlib
import sys
import tempfile
import traceback

import wit_world
from componentize_py_types import Err
from wit_world.imports import log, types


class Failure(Exception):
    """Why a task did not succeed: a stable reason in CamelCase, a message, what
    to do next, and the results it had come to."""

    def __init__(self, reason, message, remedy=None, results=None):
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.remedy = remedy
        self.results = results or {}


def _write(level, message, fields):
    log.write(level, message, [log.Field(name, str(value)) for name, value in fields.items()])


def debug(message, **fields):
    """Writes one line to the log, for the task's author."""
    _write(log.Level.DEBUG, message, fields)


def info(message, **fields):
    """Writes one line to the log, for whoever watches."""
    _write(log.Level.INFO, message, fields)


def warn(message, **fields):
    """Writes one line to the log: something is off."""
    _write(log.Level.WARN, message, fields)


def error(message, **fields):
    """Writes one line to the log: something is wrong."""
    _write(log.Level.ERROR, message, fields)


def task(run):
    """Makes the class that the component exports of a function from params,
    inputs and outputs to results, each by name. Inputs and outputs are the
    `pathlib.Path` of a directory; nothing else is there to open."""

    class WitWorld(wit_world.WitWorld):
        def run(self, request):
            params = {given.name: _lift(given.value) for given in request.params}
            inputs, outputs = _paths(request.inputs), _paths(request.outputs)
            tempfile.tempdir = request.scratch
            try:
                return types.Outcome(_bindings(run(params, inputs, outputs) or {}))
            except Failure as failure:
                results = _bindings(failure.results)
                raise Err(types.Failure(failure.reason, failure.message, failure.remedy, results))
            except (Exception, SystemExit) as failure:
                for line in traceback.format_exc().splitlines():
                    debug(line)
                # The path is in one of the file system.
                reason = "InputOutput" if isinstance(failure, OSError) else "Exception"
                raise Err(types.Failure(reason, _told(failure), None, []))
            finally:
                sys.stdout.flush()
                sys.stderr.flush()

    return WitWorld


def _told(failure):
    """What was raised, and by which line of the task itself."""
    frames = traceback.extract_tb(failure.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith("/python/")][-1]
    said = "".join(traceback.format_exception_only(failure)).strip()
    return f"{said} ({os.path.basename(own.filename)}:{own.lineno})"


def _paths(mounts):
    return {mount.name: pathlib.Path(mount.path) for mount in mounts}


def _lift(value):
    return dict(value.value) if isinstance(value, types.Value_Fields) else value.value


def _bindings(results):
    return [types.Binding(name, _lower(value)) for name, value in results.items()]


def _lower(value):
    if isinstance(value, dict):
        return types.Value_Fields([(key, str(text)) for key, text in value.items()])
    if isinstance(value, (list, tuple)):
        return types.Value_Texts([str(text) for text in value])
    return types.Value_Text(str(value))
