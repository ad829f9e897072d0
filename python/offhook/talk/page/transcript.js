// What is said, line by line as it is understood, with how long each answer took.

const NAMES = { caller: "You", agent: "Agent" };

export function seconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}

export class Transcript {
  constructor(list, note) {
    this.list = list;
    this.note = note;
    this.clear();
  }

  clear() {
    this.list.replaceChildren();
    this.lines = new Map();
    this.waited = null;
    this.toldBy = "";
    this.note.hidden = false;
  }

  // A line replaces what was told before under its id.
  tell({ who, id, text, final, interrupted }) {
    const key = `${who} ${id}`;
    let line = this.lines.get(key);
    if (!text) {
      line?.item.remove();
      this.lines.delete(key);
      return;
    }
    if (!line) {
      line = this.add(who);
      this.lines.set(key, line);
      if (who === "agent" && this.waited !== null) this.attach(line, this.waited);
    }
    this.note.hidden = true;
    line.text.textContent = text;
    line.item.classList.toggle("open", !final);
    line.item.classList.toggle("cut", Boolean(interrupted));
  }

  // The agent has begun to answer, so long after the caller had finished.
  answered(ms) {
    const last = [...this.lines.values()].at(-1);
    if (last?.who === "agent" && !last.waited) this.attach(last, ms);
    else this.waited = ms;
  }

  attach(line, ms) {
    line.waited = true;
    this.waited = null;
    line.head.append(` · after ${seconds(ms)}`);
  }

  add(who) {
    const item = document.createElement("li");
    const head = document.createElement("b");
    const text = document.createElement("span");
    item.className = who;
    head.textContent = NAMES[who];
    item.append(head, text);
    this.list.append(item);
    item.scrollIntoView({ block: "nearest" });
    return { who, item, head, text, waited: false };
  }

  get hasAgent() {
    return [...this.lines.values()].some((line) => line.who === "agent");
  }

  // The agent has spoken, and said no word of it.
  explain(uri) {
    this.note.hidden = false;
    this.note.textContent = uri.startsWith("echo:")
      ? "This is the echo test: what you hear is yourself, and there is nobody who could write it down."
      : `${uri} gives no transcript. Agents of the Python SDK do; others send the message "transcript" of offhook.v1.`;
  }
}
