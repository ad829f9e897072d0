// The talk page: one button, and what it comes to.

import { Sound, insecure } from "./audio.js";
import { Call, whatCanBeCalled } from "./gateway.js";
import { Transcript, seconds } from "./transcript.js";

const $ = (id) => document.getElementById(id);
const KEY = "offhook.talk.token";
const QUIETEST_DB = -60;

const button = $("call");
const transcript = new Transcript($("transcript"), $("words"));
let talk = null;

function token() {
  const written = window.location.hash.slice(1);
  if (written) {
    sessionStorage.setItem(KEY, written);
    // Out of the address bar, so that no picture of the screen and no history has it.
    history.replaceState(null, "", window.location.pathname);
  }
  return sessionStorage.getItem(KEY) || "";
}

function say(text) {
  $("state").textContent = text;
}

function complain(title, text = "", hint = "", detail = "") {
  const box = $("trouble");
  box.hidden = !title;
  box.querySelector("h2").textContent = title || "";
  const [what, how, more] = box.querySelectorAll("p");
  for (const [place, words] of [[what, text], [how, hint], [more, detail]]) {
    place.textContent = words;
    place.hidden = !words;
  }
}

function meter(id, rms) {
  const db = rms > 0 ? Math.max(QUIETEST_DB, 20 * Math.log10(rms)) : QUIETEST_DB;
  $(id).style.transform = `scaleX(${(1 - db / QUIETEST_DB).toFixed(3)})`;
  $(id).dataset.db = db.toFixed(1);
}

function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

class Talk {
  constructor() {
    this.sound = null;
    this.call = null;
    this.ended = false;
    this.speaks = false;
    this.waits = [];
    this.uri = "";
    this.since = null;
    this.clock = setInterval(() => this.tick(), 250);
  }

  async begin() {
    say("Waiting for the microphone…");
    this.sound = await Sound.open({
      onFrame: (pcm) => this.speaks && this.call.speak(pcm),
      onLevel: (mine, theirs) => {
        if (mine !== null) meter("mine", mine);
        if (theirs !== null) meter("theirs", theirs);
      },
      onGone: () => this.lost("The microphone is gone", "It was unplugged, or another program has taken it."),
    });
    if (this.ended) return this.sound.close();
    say("Calling…");
    const call = await Call.place(token(), $("choice").value, $("line").value, {
      onNews: (news) => this.hear(news),
      onSound: (pcm) => !this.ended && this.sound.play(pcm),
      onClosed: (code, reason) => this.closed(code, reason),
    });
    if (this.ended) return call.close();
    this.call = call;
  }

  hear(news) {
    switch (news.type) {
      case "calling":
        say(`Calling ${news.destination}…`);
        break;
      case "ringing":
        say("Ringing…");
        break;
      case "agent":
        this.uri = news.uri;
        break;
      case "answered":
        this.speaks = true;
        this.since = performance.now();
        $("keys").hidden = false;
        say(`In a call with ${this.uri} (${news.codec === "G722" ? "wideband, " : "telephone, "}${news.codec})`);
        break;
      case "transcript":
        transcript.tell(news);
        break;
      case "speaks":
        if (news.who === "agent" && !news.started && !transcript.hasAgent) transcript.explain(this.uri);
        break;
      case "turn":
        this.waits.push(news.latency_ms);
        $("latency").textContent = seconds(news.latency_ms);
        $("median").textContent = `${seconds(median(this.waits))} (${this.waits.length})`;
        transcript.answered(news.latency_ms);
        break;
      case "ended":
        this.over(news);
        break;
    }
  }

  hangUp() {
    say("Hanging up…");
    if (this.call) this.call.hangUp();
    else this.end("You hung up.");
  }

  over({ reason, text, hint, detail, fault, call_id: id }) {
    const report = id ? `Its report: offhook calls show ${id}` : "";
    if (reason === "caller_hung_up" || reason === "caller_cancelled") this.end("You hung up.");
    else if (fault === "nobody") this.end(text);
    else {
      complain(text, detail, hint, [`${reason}, up to: ${fault}`, report].filter(Boolean).join(". "));
      this.end("The call is over.");
    }
    if (report) $("state").title = report;
  }

  lost(title, text, hint = "", detail = "") {
    complain(title, text, hint, detail);
    this.call?.hangUp();
    this.end("The call is over.");
  }

  closed(code, reason) {
    if (this.ended) return;
    const why = `The connection closed with ${code}${reason ? `: ${reason}` : ""}`;
    if (code === 1008) {
      this.lost(
        "The network is too slow",
        "This browser could not take the call's sound as fast as it came.",
        "Try a nearer or faster network, or close what else uses it.",
        why,
      );
    } else if (this.since === null) {
      this.lost("The call could not be placed", "The gateway ended the connection at once.", "Look at its log.", why);
    } else {
      this.lost(
        "The connection to the gateway broke",
        "The call was hung up there.",
        "Is the gateway still running, and this machine still online?",
        why,
      );
    }
  }

  end(words) {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.clock);
    this.sound?.close();
    // What is under way is the goodbye; it goes by itself.
    setTimeout(() => this.call?.close(), 2000);
    meter("mine", 0);
    meter("theirs", 0);
    $("keys").hidden = true;
    say(words);
    idle();
  }

  tick() {
    if (this.since === null) return;
    const passed = Math.floor((performance.now() - this.since) / 1000);
    $("time").textContent = `${Math.floor(passed / 60)}:${String(passed % 60).padStart(2, "0")}`;
  }
}

function idle() {
  talk = null;
  button.textContent = "Call";
  button.classList.remove("busy");
  for (const id of ["choice", "line"]) $(id).disabled = false;
}

async function press() {
  if (talk) {
    talk.hangUp();
    return;
  }
  complain("");
  transcript.clear();
  for (const id of ["time", "latency", "median"]) $(id).textContent = "–";
  for (const id of ["choice", "line"]) $(id).disabled = true;
  button.textContent = "Hang up";
  button.classList.add("busy");
  const mine = (talk = new Talk());
  try {
    await mine.begin();
  } catch (error) {
    mine.lost(error.title || "The call could not be placed", error.message, error.hint || "");
  }
}

async function load() {
  const problem = insecure();
  if (problem) complain(problem.title, problem.message, problem.hint);
  const own = token();
  if (!own) {
    complain("The link is not complete", "It has to carry the token of this run.", "Open the whole link that `offhook run` prints.");
    say("");
    return;
  }
  try {
    const { gateway, version, choices } = await whatCanBeCalled(own);
    $("gateway").textContent = `${gateway} · ${version}`;
    const select = $("choice");
    for (const { id, name, destination } of choices) {
      select.add(new Option(name === destination ? name : `${name} → ${destination}`, id));
    }
    say(choices.length ? "" : "There is nobody to call: the configuration has no route and no agent.");
    if (problem || !choices.length) return;
    button.disabled = false;
    idle();
  } catch (error) {
    say("");
    complain("The gateway does not let you in", error.message, error.hint);
  }
}

for (const digit of "123456789*0#") {
  const key = document.createElement("button");
  key.type = "button";
  key.textContent = digit;
  key.onclick = () => talk?.call?.press(digit);
  $("keys").append(key);
}
button.onclick = press;
window.addEventListener("hashchange", () => window.location.reload());
load();
