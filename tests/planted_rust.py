"""Bugs planted in the Rust core, each of which must fail a test that somebody wrote of an agent with `offhook.testing`.

`python tests/planted_rust.py` copies the sources to `target/planted`, builds the extension once as it is (the test must
pass) and once with each bug (it must fail). Exit 1 if a bug is not noticed. About a minute a bug.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "target" / "planted"
TEST = "tests/scenario/rehearsed/test_planted_bugs.py::test_without_a_bug_it_passes"
COPIED = ("rust", "bench", "fuzz", "python", "tests", "Cargo.toml", "Cargo.lock", "pyproject.toml")
TIME_LIMIT = 900.0


@dataclass(frozen=True)
class Bug:
    """One place of the core, as it is and as it is spoiled; `also` are further ones in the same file."""

    name: str
    file: str
    right: str
    wrong: str
    also: tuple[tuple[str, str], ...] = ()


BUGS = (
    Bug(
        "what the agent takes back is played all the same",
        "rust/media/src/playout.rs",
        "let dropped_samples = self.queue.skip(self.queue.len());",
        "let dropped_samples = self.queue.skip(0);",
    ),
    Bug(
        "each frame of the agent's is played twice",
        "rust/media/src/playout/queue.rs",
        "            self.ready.drain(..self.bytes_of(samples));",
        "            self.ready.drain(..self.bytes_of(samples) / 2);",
    ),
    Bug(
        "µ-law is read without its segments",
        "rust/media/src/codec/g711.rs",
        "(((2 * step as i32 + 33) << segment) - 33) << 2",
        "(((2 * step as i32 + 33) << (segment & 1)) - 33) << 2",
    ),
    Bug(
        "half of what is resampled is lost",
        "rust/media/src/convert.rs",
        "self.to.encoding.write(&resampled[..count], out);",
        "self.to.encoding.write(&resampled[..count / 2], out);",
    ),
    Bug(
        "a key is another key",
        "rust/media/src/telephone_event.rs",
        "            code: bytes[0],",
        "            code: bytes[0] ^ 1,",
    ),
    Bug(
        "the hash key is no key",
        "rust/media/src/telephone_event.rs",
        "        if event <= 16 {",
        "        if event <= 10 {",
    ),
    Bug(
        "nobody can interrupt",
        "rust/media/src/barge_in.rs",
        "if policy == Policy::Off || self.silent > STILL {",
        "if policy != Policy::Agent || self.silent > STILL {",
    ),
    Bug(
        "an agent that hangs up does not",
        "rust/media/src/engine/leg_sink.rs",
        "if mem::take(&mut self.side.hang_up) {",
        "if !mem::take(&mut self.side.hang_up) {",
    ),
    Bug(
        "of what the agent takes back the last half second is played",
        "rust/media/src/playout.rs",
        "let dropped_samples = self.queue.skip(self.queue.len());",
        "let dropped_samples = self.queue.skip(self.queue.len().saturating_sub(25 * self.frame));",
    ),
    Bug(
        "half a second of what the agent takes back comes with what it says next",
        "rust/media/src/playout/queue.rs",
        "            self.ready.clear();\n            self.rest.clear();",
        "            if self.ready.len() > 4_000 {\n"
        "                self.converted = self.ready.iter().copied().take(4_000).collect();\n"
        "            }\n"
        "            self.ready.clear();\n            self.rest.clear();",
        also=(
            (
                "            None => self.ready.extend(bytes),",
                "            None => {\n"
                "                self.ready.extend(take(&mut self.converted));\n"
                "                self.ready.extend(bytes);\n"
                "            }",
            ),
        ),
    ),
    Bug(
        "of what was cut off every word counts as heard",
        "rust/media/src/utterance.rs",
        "let words = piece.heard(left, end);",
        "let words = piece.heard(end, end);",
    ),
    Bug(
        "of what was cut off no word counts as heard",
        "rust/media/src/wire/send.rs",
        "            text: &cut.text,",
        '            text: "",',
    ),
    Bug(
        "words count as heard in half of their time",
        "rust/media/src/utterance.rs",
        "Some(&ends_at) => u64::from(ends_at),",
        "Some(&ends_at) => u64::from(ends_at) / 2,",
    ),
    Bug(
        "what was cut off counts as played since the call began",
        "rust/media/src/utterance.rs",
        "cut.played_ms += millis(until.saturating_sub(piece.begins));",
        "cut.played_ms += millis(until);",
    ),
    Bug(
        "a thousandth of the credit counts",
        "rust/media/src/wire/share.rs",
        "credit.granted.max(u64::from(record.position) * 1_000)",
        "credit.granted.max(u64::from(record.position))",
    ),
)


def spoiled(source: str, bug: Bug) -> str:
    """The source with the bug in it. Raises ValueError where a place of it is gone, or is several."""
    for right, wrong in ((bug.right, bug.wrong), *bug.also):
        if source.count(right) != 1:
            raise ValueError(
                f"{bug.file}: {bug.name!r} has {source.count(right)} places; name one in {Path(__file__).name}"
            )
        source = source.replace(right, wrong)
    return source


def copy() -> None:
    """The tree as it is, without what was built."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, to = ROOT / name, PLACE / name
        if source.is_dir():
            shutil.rmtree(to, ignore_errors=True)
            # With new times: by the old ones cargo would keep the last bug of the run before.
            ignored = shutil.ignore_patterns("__pycache__", "_media*.so", "*.dll", "target")
            shutil.copytree(source, to, ignore=ignored, copy_function=shutil.copy)
        else:
            shutil.copy2(source, to)


def build() -> None:
    """The extension of the copy, quick to build, and only what a bug has changed: its speed is not measured."""
    quick = {
        "CARGO_INCREMENTAL": "1",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "256",
        "CARGO_PROFILE_RELEASE_DEBUG": "false",
        "CARGO_PROFILE_RELEASE_LTO": "off",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
    }
    command = ["cargo", "build", "--release", "--quiet", "-p", "offhook-media-py", "--target-dir", "target"]
    subprocess.run(command, cwd=PLACE, env={**os.environ, **quick}, check=True, timeout=TIME_LIMIT)
    library = "lib_media.dylib" if sys.platform == "darwin" else "lib_media.so"
    suffix = sysconfig.get_config_var("SHLIB_SUFFIX") or ".so"
    shutil.copy2(PLACE / "target/release" / library, PLACE / f"python/offhook/_media.abi3{suffix}")


def passes() -> tuple[bool, str]:
    """Whether somebody's test of his agent passes on the copy, and the line that says why not."""
    environment = {**os.environ, "PYTHONPATH": str(PLACE / "python")}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout", "300", "-p", "no:cacheprovider", TEST]
    done = subprocess.run(
        command, cwd=PLACE, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    complaints = [line[2:].strip() for line in done.stdout.splitlines() if line.startswith("E ")]
    # What was being waited for when it failed comes before what failed.
    why = next((line for line in complaints if line.startswith("AssertionError")), "".join(complaints[:1]))
    return done.returncode == 0, why or done.stdout[-500:]


def main() -> int:
    copy()
    build()
    right, why = passes()
    print(f"without a bug: {'passed' if right else 'FAILED: ' + why}", flush=True)
    noticed = 0
    for bug in BUGS:
        path = PLACE / bug.file
        source = path.read_text()
        path.write_text(spoiled(source, bug))
        try:
            build()
            passed, why = passes()
        finally:
            path.write_text(source)
        noticed += not passed
        print(f"{bug.name}: {'NOT NOTICED' if passed else why}", flush=True)
    print(f"{noticed} of {len(BUGS)} planted bugs noticed", flush=True)
    return 0 if right and noticed == len(BUGS) else 1


if __name__ == "__main__":
    sys.exit(main())
