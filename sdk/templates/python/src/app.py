"""Counts the lines of a source tree that contain a word."""

from cofferdam_task import Failure, info, task


def run(params, inputs, outputs):
    word = params["word"].encode()
    if not word:
        raise Failure("NoWord", "`word` is empty", remedy="give a word to look for")
    source = inputs["source"]
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    lines = 0
    with (outputs["report"] / "lines.txt").open("wb") as report:
        for path in files:
            with (source / path).open("rb") as file:
                # No text.
                if b"\0" in file.peek():
                    continue
                for number, line in enumerate(file, 1):
                    if word in line:
                        lines += 1
                        report.write(b"%s:%d: %s\n" % (bytes(path), number, line.rstrip()))
    info("looked through", files=len(files))
    return {"lines": lines}


WitWorld = task(run)
