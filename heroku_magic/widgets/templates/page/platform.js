// The part of Heroku's Platform API that a run needs, and the log of its dyno.
//
// https://devcenter.heroku.com/articles/platform-api-reference

const LINE = /^(\S+) ([\w-]+)\[([^\]\s]*)\]: ?(.*)$/s;
const BACKLOG = 1500;
const ATTEMPTS = 4;
const LONGEST_ANSWER = 40_000; // milliseconds; Heroku's router gives up after 30 s
const LONGEST_BACKLOG = 60_000; // milliseconds that it may take
const QUIET = 20_000; // milliseconds without a byte after which a dyno is looked for
export const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }

  // Whether nobody knows if the request had an effect.
  get isUnclear() {
    return this.status === 0 || this.status >= 500;
  }
}

export class Platform {
  // sessions: how often the log was opened.
  constructor(url, app, key) {
    Object.assign(this, { url, app, key, sessions: 0 });
  }

  async createDyno(body) {
    const dyno = await this.send("POST", "/dynos", body);
    if (!dyno.name) throw new ApiError("The answer about the new dyno cannot be read.");
    return dyno;
  }

  listDynos() {
    return this.sendRepeatedly("GET", "/dynos");
  }

  // keepalive: the request goes on when the page is closed.
  stopDyno(name, { keepalive = false } = {}) {
    const path = `/dynos/${name}/actions/stop`;
    return keepalive ? this.send("POST", path, undefined, { keepalive }) : this.sendRepeatedly("POST", path);
  }

  async isGone(name) {
    try {
      await this.sendRepeatedly("GET", `/dynos/${name}`);
      return false;
    } catch (error) {
      if (error.status === 404) return true;
      throw error;
    }
  }

  async send(method, path, body, options = {}) {
    const request = {
      method,
      headers: {
        Accept: "application/vnd.heroku+json; version=3",
        Authorization: `Bearer ${this.key}`,
        "Content-Type": "application/json",
      },
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      redirect: "error", // a redirect could lead the key to another host
      signal: AbortSignal.timeout(LONGEST_ANSWER),
      ...options,
    };
    const response = await fetch(`${this.url}/apps/${encodeURIComponent(this.app)}${path}`, request).catch(() => {
      throw new ApiError(this.unreachable());
    });
    const answer = (await response.json().catch(() => null)) ?? {};
    if (!response.ok) throw new ApiError(this.sentence(response.status, answer), response.status);
    return answer;
  }

  // Only for requests that may arrive twice.
  async sendRepeatedly(method, path, body) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.send(method, path, body);
      } catch (error) {
        if (attempt === ATTEMPTS || !(error.isUnclear || error.status === 429)) throw error;
        await pause(500 * 2 ** attempt);
      }
    }
  }

  sentence(status, { message = "" }) {
    if (status === 401) return "Heroku does not accept this key. Check it, or make a new one with %heroku login.";
    if (status === 403) return `This key may not do this: ${message || "its scope is too narrow."}`;
    if (status === 404) return `The app "${this.app}" was not found: ${message || "check its name."}`;
    if (status === 429) return "The account has used up its requests. Wait a minute, then start again.";
    if (status >= 500) return `Heroku answered with an error (${status}). Start again in a moment.`;
    return `Heroku refused the request: ${message || `status ${status}.`}`;
  }

  unreachable() {
    if (this.url.startsWith("https:")) return `${this.url} cannot be reached. Check the connection, then start again.`;
    return `${this.url} cannot be reached. Is the embedded Heroku running, with --allow-origin ${location.origin}?`;
  }

  // -- the log of one dyno ----------------------------------------------------------------------------

  // Yields lists of new lines until the signal, and an empty list after a silence; reopens a stream that breaks.
  async *follow(dyno, signal) {
    const history = new History();
    for (let failures = 0; !signal.aborted && failures < ATTEMPTS; ) {
      history.begin();
      this.sessions++;
      let hasNews = false;
      for await (const lines of this.readSession(dyno, { tail: true, signal })) {
        const fresh = history.unseen(lines);
        hasNews ||= fresh.length > 0;
        yield fresh;
      }
      failures = hasNews ? 0 : failures + 1;
      yield [];
      if (!signal.aborted) await pause(500 * 2 ** failures);
    }
  }

  async readBacklog(dyno) {
    const lines = [];
    for await (const some of this.readSession(dyno, { tail: false, signal: AbortSignal.timeout(LONGEST_BACKLOG) })) lines.push(...some);
    return lines;
  }

  // Yields the lines of each chunk of one session; a stream that breaks only ends.
  async *readSession(dyno, { tail, signal }) {
    const session = await this.sendRepeatedly("POST", "/log-sessions", { dyno, lines: BACKLOG, tail });
    const options = { signal, cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", redirect: "error" };
    try {
      const response = await fetch(session.logplex_url, options);
      if (response.ok) yield* readLines(response.body.getReader());
    } catch (error) {
      if (!(error instanceof TypeError) && error.name !== "AbortError") throw error;
    }
  }
}

// A session begins with lines that an earlier one may have sent. Equal lines count as often as one session has them.
class History {
  seen = new Map();

  begin() {
    this.here = new Map();
  }

  unseen(lines) {
    return lines.filter(({ text }) => {
      const count = (this.here.get(text) ?? 0) + 1;
      this.here.set(text, count);
      if (count <= (this.seen.get(text) ?? 0)) return false;
      this.seen.set(text, count);
      return true;
    });
  }
}

async function* readLines(reader) {
  const decoder = new TextDecoder();
  let rest = "";
  for (let reading = reader.read(); ; ) {
    const chunk = await Promise.race([reading, pause(QUIET)]);
    if (chunk === undefined) {
      yield [];
      continue;
    }
    if (chunk.done) return;
    const texts = (rest + decoder.decode(chunk.value, { stream: true }).replaceAll("\0", "")).split("\n");
    rest = texts.pop();
    yield texts.map(parseLine).filter(Boolean);
    reading = reader.read();
  }
}

// A line of the log, `2024-10-17T22:23:22.209776+00:00 app[run.1234]: hello`; null for anything else.
function parseLine(text) {
  const match = LINE.exec(text.replace(/^data: ?/, ""));
  return match && { text: match[0], source: match[2], dyno: match[3], message: match[4] };
}
