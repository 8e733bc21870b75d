# SPDX-License-Identifier: Apache-2.0
"""What the attack found: the test decides what of it was forbidden."""
import collections
import json
import re

# Subjects are rows; notes are what cooperating pods leave for each other; canaries are planted where nobody may look.
MARKS = {
    "subjects": re.compile(rb"SUBJ-\d{3}-[0-9a-f]{8}"),
    "notes": re.compile(rb"NOTE-[a-z0-9-]+-[0-9a-f]{16}"),
    "canaries": re.compile(rb"CANARY-[a-z]+-[0-9a-f]{16}"),
}
MOST = 40  # of one kind from one source


class Findings:
    def __init__(self, part: str):
        self.found = collections.defaultdict(dict)
        self.found["part"] = part

    def scan(self, source: str, content: bytes) -> None:
        """Looks for marks in content."""
        for kind, pattern in MARKS.items():
            for mark in pattern.findall(content):
                marks = self.found[kind].setdefault(source, [])
                if mark.decode() not in marks and len(marks) < MOST:
                    marks.append(mark.decode())

    def note(self, kind: str, key: str, value="") -> None:
        """Remembers a fact."""
        facts = self.found[kind]
        if len(facts) < 2000:
            facts[key] = value

    def show(self) -> None:
        print("FINDINGS " + json.dumps(self.found, sort_keys=True), flush=True)
