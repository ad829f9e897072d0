"""Whether what it sends is sound that a caller can listen to: readable, audible, at its rate, without holes."""

from collections.abc import Iterable
from itertools import pairwise

from offhook.examine.audio import Encoding
from offhook.examine.call_log import CallLog
from offhook.examine.check import Check, Figures, Outcome
from offhook.examine.examination import Examination
from offhook.examine.playout import AHEAD_LIMIT
from offhook.examine.voice import SECONDS, Voice, grain, measure

_MUCH_AHEAD = 30.0
_GAP = (0.06, 0.4)
_OUR_FAULT = 0.1

_STEADY = 0.25
_STEADY_FOR = 2.0
_STEADY_SHARE = 0.75
_RATIOS = (1 / 6, 1 / 3, 1 / 2, 2 / 3, 1.5, 2.0, 3.0, 6.0)

_AS_LOUD_AS_NOISE = 15_000.0
_RAW = 32_000


def readable(of: Examination) -> Check:
    """Whether its messages are those of the dialect."""
    foreign = next((log.foreign for log in of.logs if log.foreign), "")
    if foreign:
        right = "" if foreign == "offhook" else f"{foreign}+"
        advice = f"examine it as {right}{of.plan.uri.url.partition('?')[0]}, or let it speak {of.talk.dialect}"
        return Check("readable", Outcome.FAULT, f"it speaks the dialect {foreign}", advice)
    codes: dict[str, tuple[int, str]] = {}
    for log in of.logs:
        for code, garbage in log.garbage.items():
            count, what = codes.get(code, (0, garbage.what))
            codes[code] = (count + garbage.count, what)
    codes.pop("bad_mark", None)
    sound = sum(log.audio_messages for log in of.logs)
    if codes:
        code, (count, what) = max(codes.items(), key=lambda one: one[1][0])
        others = f", and {len(codes) - 1} other kinds of mistakes" if len(codes) > 1 else ""
        ended = "; after 20 of them the gateway ends the call" if any(log.cut == "garbage" for log in of.logs) else ""
        found = f"{count} messages with {what}{others} ({sound} audio messages could be read){ended}"
        counts = {name: number for name, (number, _) in codes.items()}
        return Check("readable", Outcome.FAULT, found, _ADVICE.get(code, ""), counts)
    headers = sum(log.wav_headers for log in of.logs)
    if headers:
        advice = "cut off the first 44 bytes: audio has no header, and the caller hears it as a click"
        return Check(
            "readable", Outcome.WARNING, f"{headers} audio messages begin with the header of a WAV file", advice
        )
    lost = sum(log.without_stream for log in of.logs)
    own = {log.stream_sid for log in of.logs}
    other = sum(count for log in of.logs for sid, count in log.other_streams.items() if sid not in own)
    if lost or other:
        what = f"{lost} without a `streamSid`" if lost else f"{other} with a `streamSid` of no call"
        advice = "offhook doesn't mind, Twilio drops them: put the streamSid of `start` into every message"
        return Check("readable", Outcome.WARNING, f"messages {what}", advice)
    unknown = {kind: count for log in of.logs for kind, count in log.unknown.items()}
    if unknown:
        kinds = ", ".join(f"`{kind}`" for kind in sorted(unknown)[:4])
        return Check("readable", Outcome.NOTE, f"messages that this dialect doesn't have were ignored: {kinds}")
    return Check("readable", Outcome.GOOD, f"{sound} audio messages, all of them good")


_ADVICE = {
    "not_base64": "encode audio with the standard alphabet (base64.b64encode), as text, not as the repr of bytes",
    "not_json": "a text message is one JSON object; audio of offhook's own protocol goes in binary messages",
    "unexpected_binary": "audio goes in a `media` message, as base64 in `media.payload`",
    "bad_field": "compare the message with the protocol's page",
    "bad_ready": "choose one of the `formats` that `ringing` offers",
    "no_type": "every message has a string `type`",
    "bad_digits": "`digits` are 1 to 64 of 0-9 * # A-D",
    "bad_frame": "let a WebSocket library write the frames; a message is at most 1 MiB",
}


def speaks(of: Examination) -> Check:
    """Whether the caller hears anything at all."""
    log, pace = of.talk, of.pace
    if log.playout.last_sound:
        heard = len(log.playout.sounds()) / 50
        return Check(
            "speaks", Outcome.GOOD, f"{heard:.1f} s of sound in the first call", figures={"sound_s": round(heard, 1)}
        )
    waited = f"the caller waited {pace.greeting:.0f} s, spoke, and waited {pace.answer:.0f} s for an answer"
    if not log.audio_messages:
        advice = "does it find the stream to write to? Send audio as soon as `start` has come, and see its log"
        return Check("speaks", Outcome.FAULT, f"not one audio message: {waited}", advice)
    advice = "sound is made or read wrongly before it is sent: listen to what is encoded there"
    return Check("speaks", Outcome.FAULT, f"{log.audio_seconds:.1f} s of audio, all of it silence: {waited}", advice)


def rate(of: Examination) -> Check:
    """Whether it speaks at the rate and in the encoding that were agreed."""
    log = next((log for log in of.conversations if log.playout.last_sound), None)
    if log is None:
        return Check("rate", Outcome.NOT_JUDGED, "there was no sound")
    taken = log.playout.raw(_RAW)
    better = _better_encoding(taken, log.format.encoding)
    if better is not None:
        found = f"read as {log.format}, as agreed, it is noise; read as {better} it is sound"
        advice = f"encode what you send as {log.format.encoding}"
        return Check("rate", Outcome.FAULT, found, advice, {"sounds_like": better})
    voice = measure(log.playout.samples(SECONDS), log.format.rate)
    paced = next((sent for one in of.conversations if (sent := _pace(one)) is not None), None)
    figures: Figures = {
        "seconds_sent_per_second": None if paced is None else round(paced, 2),
        "pitch_hz": None if voice is None else round(voice.pitch),
        "syllables_per_second": None if voice is None else round(voice.tempo, 1),
    }
    speed, sure = _speed(voice, paced)
    evenly = "" if paced is None else f"; it sends {paced:.2f} s of sound a second"
    if voice is None:
        found = f"it is no speech that could be measured{evenly}"
    else:
        found = f"a voice of {voice.pitch:.0f} Hz with {voice.tempo:.1f} syllables a second{evenly}"
    if speed is None:
        return Check("rate", Outcome.GOOD, found, figures=figures)
    made = min((8_000, 16_000, 22_050, 24_000, 44_100, 48_000), key=lambda hz: abs(hz * speed / log.format.rate - 1))
    how = "slowly" if speed < 1 else "fast"
    found += f": that is sound played too {how}, as if made at {made} Hz and sent as {log.format.rate} Hz"
    advice = f"resample to {log.format.rate} Hz, and count {log.format.bytes_per_second // 50} bytes as 20 ms"
    if not sure:
        return Check("rate", Outcome.WARNING, found, f"listen to it; if it is wrong, {advice}", figures)
    return Check("rate", Outcome.FAULT, found, advice, figures)


def pace(of: Examination) -> Check:
    """Whether sound comes neither without end nor with holes in it."""
    flooded = next((log for log in of.logs if log.cut == "flood" or log.playout.dropped > 0), None)
    if flooded is not None:
        took = (flooded.arrivals[-1].at - flooded.arrivals[0].at) if flooded.arrivals else 0.0
        found = (
            f"{flooded.audio_seconds:.0f} s of sound in {took:.1f} s, in {flooded.audio_messages} messages, without end"
        )
        if flooded.cut:
            found += ": the gateway ends such a call (agent_flood)"
        advice = f"make sound as it is needed: what is more than {AHEAD_LIMIT:.0f} s ahead of real time is dropped"
        sent = {"sent_s": round(flooded.audio_seconds, 1), "took_s": round(took, 2)}
        return Check("pace", Outcome.FAULT, found, advice, sent)
    if not any(log.audio_seconds for log in of.conversations):
        return Check("pace", Outcome.NOT_JUDGED, "there was no sound")
    ahead = max((log.playout.most_ahead for log in of.conversations), default=0.0)
    holes, lost, sound = 0, 0.0, 0.0
    for log in of.conversations:
        if log.lateness > _OUR_FAULT:
            continue
        gaps = [gap.length for gap in log.playout.gaps if _GAP[0] <= gap.length <= _GAP[1]]
        holes, lost, sound = holes + len(gaps), lost + sum(gaps), sound + log.audio_seconds
    figures: Figures = {
        "most_ahead_s": round(ahead, 2),
        "holes": holes,
        "holes_s": round(lost, 2),
    }
    share = lost / (lost + sound) if sound else 0.0
    if holes >= 5 and share >= 0.04:
        found = f"{holes} holes of {lost / holes * 1000:.0f} ms on average in {sound:.1f} s of sound ({share:.0%})"
        advice = "keep some 100 ms ahead of real time: send by the clock, not by sleeping a frame's length after each"
        outcome = Outcome.FAULT if holes >= 8 and share >= 0.15 else Outcome.WARNING
        return Check("pace", outcome, found, advice, figures)
    found = f"at most {ahead:.1f} s ahead of real time, {holes or 'no'} holes"
    if any(log.lateness > _OUR_FAULT for log in of.conversations):
        found += " (this machine was too busy to look closely in all calls)"
    if ahead > _MUCH_AHEAD:
        return Check("pace", Outcome.NOTE, found, "", figures)
    return Check("pace", Outcome.GOOD, found, figures=figures)


def _better_encoding(audio: bytes, declared: Encoding) -> Encoding | None:
    """The encoding that these bytes are in, if it is not the declared one."""
    ours = grain(audio, declared)
    if ours.loudest < _AS_LOUD_AS_NOISE:
        return None
    guesses: tuple[Encoding, ...] = ("pcm16", "pcmu", "pcma")
    found = {guess: grain(audio, guess) for guess in guesses if guess != declared}
    best = min(found, key=lambda guess: found[guess].roughness)
    sure = found[best].roughness * 1.15 < ours.roughness and found[best].loudest * 2 < ours.loudest
    return best if sure else None


def _speed(voice: Voice | None, paced: float | None) -> tuple[float | None, bool]:
    """At which speed it is played if that is not its own, and whether that is sure."""
    off = min((abs(paced / ratio - 1), ratio) for ratio in _RATIOS)[1] if paced is not None else 1.0
    if voice is None:
        return (1 / off, True) if off != 1.0 else (None, False)
    octaves = voice.octaves
    mean = sum(octaves) / 3
    slow = mean < -0.85 or (mean < -0.48 and max(octaves) < -0.35)
    fast = mean > 0.7
    if slow or fast or (off > 1 and mean < -0.42) or (off < 1 and mean > 0.42):
        return (1 / off if off != 1.0 else voice.speed), True
    if mean < -0.6 or (mean > 0.48 and min(octaves) > 0.25):
        return voice.speed, False
    return None, False


def _pace(log: CallLog) -> float | None:
    """Seconds of sound sent in a second, where it is sent message by message at an even pace that is not real time."""
    best: list[tuple[float, float]] = []
    run: list[tuple[float, float]] = []
    for arrival in log.arrivals:
        if run and arrival.at - run[-1][0] > _STEADY:
            best, run = max(best, run, key=len), []
        run.append((arrival.at, arrival.seconds))
    best = max(best, run, key=len)
    if len(best) < 20 or best[-1][0] - best[0][0] < _STEADY_FOR:
        return None
    steps = sorted(later[0] - earlier[0] for earlier, later in pairwise(best))
    middle = steps[len(steps) // 2]
    if middle < 0.004 or _share(abs(step / middle - 1) < 0.5 for step in steps) < _STEADY_SHARE:
        return None
    sent = sum(seconds for _, seconds in best[:-1]) / (best[-1][0] - best[0][0])
    if min(abs(sent / ratio - 1) for ratio in _RATIOS) > 0.06:
        return None
    return sent


def _share(hits: Iterable[bool]) -> float:
    found = list(hits)
    return sum(found) / len(found)
