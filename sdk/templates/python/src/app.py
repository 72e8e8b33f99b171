"""Counts the lines of a text that contain a word."""

from cofferdam_task import Failure, info, task


def run(params):
    if not params["word"]:
        raise Failure("NoWord", "`word` is empty", remedy="give a word to look for")
    lines = params["text"].splitlines()
    info("looked through", lines=len(lines))
    return {"lines": sum(params["word"] in line for line in lines)}


WitWorld = task(run)
