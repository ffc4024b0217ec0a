// One run of the task on one dyno: starts it, follows its log, knows how it ended, and stops it.

import { ApiError, pause } from "./platform.js";
import { PlainRows, RecordDecoder, RunKey, countRows } from "./records.js";

const STARTING = "Starting process with command `";
const EXITED = /^Process exited with status (\d{1,3})$/;
const ENDED = /^State changed from \S+ to (complete|crashed)$/;
const LINES_LOST = /^Error L1[0-3] /;
const PLATFORM_ERROR = /^Error [RHL]\d+ /;
const GRACE = 1500; // milliseconds in which late lines may arrive after the exit
const PATIENCE = 4000; // milliseconds to wait for the platform's exit line after the task's own end record
const SILENCE = 15_000; // milliseconds after which the dyno is looked for
const LOOKS = [0, 1000, 3000]; // milliseconds before each look for a dyno after a lost answer
const NEAR = 5; // seconds before the time limit at which the limit is why a run ends
const MOST_LINES = 5000;

export class Run {
  lines = [];
  state = "starting";
  dyno = null;
  exit = null;
  error = "";
  notes = [];
  isStopRequested = false;
  isLeft = false;
  hasLostLines = false;
  mayRun = false; // a dyno that nobody could look for
  starts = { starting: new Set(), exited: new Set() }; // the lines that report them

  // task: command, size, seconds and joins; mask: hides secrets in a text; onChange: called after every change.
  constructor(platform, task, mask, onChange) {
    Object.assign(this, { platform, task, mask, onChange, startedAt: Date.now(), over: new AbortController() });
  }

  async complete(env) {
    try {
      this.key = await RunKey.create();
      this.decoder = new RecordDecoder(this.key, this.task);
      this.dyno = await this.create({ ...env, RUN_KEY: this.key.text });
      this.change("running");
      if (this.isStopRequested) await this.stop();
      await this.follow();
      await this.recover();
      this.judge();
    } catch (error) {
      this.error = this.mask(error.message);
      await this.abandon();
    }
    this.over.abort();
    clearTimeout(this.timer);
    this.endedAt = Date.now();
    this.change("ended");
  }

  async stop() {
    this.isStopRequested = true;
    if (this.state === "ended") return;
    this.change("stopping");
    try {
      if (this.dyno) await this.platform.stopDyno(this.dyno.name);
    } catch (error) {
      if (error.status !== 404) this.note(`The dyno could not be stopped: ${error.message}`);
    }
  }

  // Stops a dyno whose run cannot be followed any more.
  async abandon() {
    if (!this.dyno || this.exit !== null) return;
    try {
      await this.platform.stopDyno(this.dyno.name);
      this.note(`The dyno ${this.dyno.name} was stopped.`);
    } catch (error) {
      if (error.status !== 404) this.note(`The dyno ${this.dyno.name} could not be stopped. ${this.lastSecond}`);
    }
  }

  get lastSecond() {
    return `It ends by itself after ${Number((this.task.seconds / 60).toFixed(1))} min at the latest.`;
  }

  // Stops the dyno when the page is closed; there is no time to wait for an answer.
  leave() {
    if (this.state === "ended") return;
    this.isStopRequested = this.isLeft = true;
    if (this.dyno) this.platform.stopDyno(this.dyno.name, { keepalive: true }).catch(() => {});
  }

  get seconds() {
    return ((this.endedAt ?? Date.now()) - this.startedAt) / 1000;
  }

  get rowCount() {
    return this.decoder?.parts.reduce((sum, part) => sum + countRows(part), 0) ?? 0;
  }

  // The exit status, from the platform or else from the task's own end record.
  get status() {
    return this.exit ?? this.decoder?.status ?? null;
  }

  get isTimedOut() {
    return !this.isStopRequested && this.status !== 0 && this.seconds > this.task.seconds - NEAR;
  }

  // -- creating the dyno ------------------------------------------------------------------------------

  // A create request is not repeated, because each one that arrives starts a dyno: the run's mark finds it instead.
  async create(env) {
    const mark = `#${this.key.run}`;
    const body = { command: `${this.task.command}  ${mark}`, env, type: "run", time_to_live: this.task.seconds };
    if (this.task.size) body.size = this.task.size;
    try {
      return await this.platform.createDyno(body);
    } catch (error) {
      const found = error.isUnclear && (await this.look(mark));
      if (found) return found;
      this.mayRun = found === undefined;
      if (this.mayRun) this.note(`A dyno may have started all the same. ${this.lastSecond}`);
      throw error;
    }
  }

  // Returns the dyno of a mark; null if there is none, and undefined if nobody can tell.
  async look(mark) {
    let answer;
    for (const milliseconds of LOOKS) {
      await pause(milliseconds);
      const dynos = await this.platform.listDynos().catch(() => undefined);
      answer = Array.isArray(dynos) ? (dynos.find(one => one.command.endsWith(mark)) ?? null) : undefined;
      if (answer) break;
    }
    return answer;
  }

  // -- reading its log --------------------------------------------------------------------------------

  async follow() {
    let heardAt = Date.now();
    for await (const lines of this.platform.follow(this.dyno.name, this.over.signal)) {
      for (const line of lines) await this.take(line);
      if (lines.length) heardAt = Date.now();
      else if (Date.now() - heardAt > SILENCE && (await this.platform.isGone(this.dyno.name))) return;
      this.onChange();
    }
    if (this.over.signal.aborted || (await this.platform.isGone(this.dyno.name))) return;
    throw new ApiError("The log of the dyno cannot be read, so its result is unknown.");
  }

  async take({ text: line, source, dyno, message }) {
    if (source !== "app") this.hasLostLines ||= LINES_LOST.test(message);
    if (dyno !== this.dyno.name) return;
    if (source === "app") {
      const text = await this.decoder.feed(message);
      if (text !== null) this.addLine(text);
    } else if (message.startsWith(STARTING)) {
      this.starts.starting.add(line);
    } else if (EXITED.test(message)) {
      this.starts.exited.add(line);
      this.exit = Number(EXITED.exec(message)[1]);
      this.endSoon(this.decoder.isComplete ? 0 : GRACE);
    } else if (ENDED.test(message)) {
      this.endSoon(GRACE);
    } else if (PLATFORM_ERROR.test(message)) {
      this.note(message);
    }
    if (this.decoder.isComplete) this.endSoon(this.exit === null ? PATIENCE : 0);
  }

  endSoon(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.over.abort(), milliseconds);
  }

  // Reads the log again from the lines that the platform keeps, if records are missing or its stream was broken.
  async recover() {
    for (const milliseconds of LOOKS) {
      if (this.isLeft || !(this.decoder.problem || this.hasLostLines || this.platform.sessions > 1)) return;
      await pause(milliseconds);
      this.hasLostLines = false;
      this.platform.sessions = 0;
      try {
        await this.reread(await this.platform.readBacklog(this.dyno.name));
      } catch (error) {
        this.hasLostLines = true;
        this.note(`The log could not be read again: ${error.message}`);
      }
    }
  }

  // Sets why the result cannot be trusted, although no record is missing.
  judge() {
    const { decoder, starts, task } = this;
    const times = Math.max(starts.starting.size, starts.exited.size);
    if (!decoder.isSigned && decoder.parts.length) {
      if (times > 1) decoder.doubt = "Heroku ran the task twice, and only rows sent with heroku_task could be told apart";
      else if (this.hasLostLines) decoder.doubt = "lines of the log were lost, and they may have contained rows";
    } else if (times > 1 && decoder.processes.size > (task.joins ? 1 : times)) {
      decoder.doubt = "Heroku ran the task twice, and the processes of its command line cannot be told apart";
    }
  }

  // The lines that the platform keeps replace those that arrived, unless they are fewer.
  async reread(lines) {
    const [texts, plain] = [this.lines, this.decoder.plain];
    this.lines = [];
    this.decoder.plain = new PlainRows();
    for (const line of lines) await this.take(line);
    if (this.lines.length < texts.length) this.lines = texts;
    if (this.decoder.plain.rows.length < plain.rows.length) this.decoder.plain = plain;
  }

  addLine(text) {
    this.lines.push(this.mask(text));
    if (this.lines.length > MOST_LINES) this.lines.splice(0, this.lines.length - MOST_LINES);
  }

  // Heroku repeats an error such as R14 every 20 s, and a log may be read twice.
  note(text) {
    const note = this.mask(text);
    if (!this.notes.includes(note)) this.notes.push(note);
    this.onChange();
  }

  change(state) {
    if (state !== "running" || this.state === "starting") this.state = state;
    this.onChange();
  }
}
