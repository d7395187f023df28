#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Makes ordinary.txt.gz from the translations in a wheel of Django 5.2.8 (BSD-3-Clause):

    pip download --no-deps django==5.2.8
    ./make.py django-5.2.8-py3-none-any.whl
"""
import ast
import gzip
import io
import re
import sys
import zipfile

# Languages, and bytes of each: the whole fits into 200 KB. English is in most software.
LANGUAGES = {"en": 60_000} | {
    language: 26_000
    for language in "de fr es it pt nl pl cs sv fi hu tr ru uk el ar he fa hi th vi ja ko zh_Hans".split()
}


def strings(po):
    """The source text and the translation of each entry of a .po file."""
    for entry in re.split(r"\n\s*\n", po):
        if "#, fuzzy" in entry:
            continue
        parts = {}
        name = None
        for line in entry.splitlines():
            if match := re.match(r'(msgid|msgstr|msgid_plural|msgstr\[\d\])\s+(".*")$', line):
                name = match[1]
                parts[name] = ast.literal_eval(match[2])
            elif line.startswith('"') and name:
                parts[name] += ast.literal_eval(line)
            else:
                name = None
        if parts.get("msgid"):
            yield parts["msgid"], parts.get("msgstr") or parts.get("msgstr[1]") or parts.get("msgstr[0]") or ""


def main(wheel):
    archive = zipfile.ZipFile(wheel)
    names = sorted(archive.namelist())
    out = io.BytesIO()
    for language, size in LANGUAGES.items():
        lines = {}
        of = "de" if language == "en" else language
        for name in names:
            if name.endswith(f"/{of}/LC_MESSAGES/django.po"):
                for source, translated in strings(archive.read(name).decode()):
                    text = re.sub(r"%\(\w+\)\w|<[^>]*>", "", source if language == "en" else translated)
                    text = re.sub(r"\s+", " ", text).strip()
                    # Single words are mostly names of places.
                    if text.count(" ") >= (0 if language in ("ja", "th", "zh_Hans") else 2):
                        lines[text] = None
        # Long texts first: they have more words that many texts have.
        text = "\n".join(sorted(lines, key=lambda line: (-len(line), line)))
        out.write(text.encode()[:size].decode(errors="ignore").encode() + b"\n")
    with open("ordinary.txt.gz", "wb") as file:
        file.write(gzip.compress(out.getvalue(), 9, mtime=0))


main(sys.argv[1])
